module llano.dev/cluster/echo

go 1.25.0
