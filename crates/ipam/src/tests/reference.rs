//! host-local's choice, written down as its Go source has it: an iterator with a position and a start.

use std::net::IpAddr;

use crate::range::{address_of, number_of};
use crate::{Range, RangeSet};

pub(super) struct RangeIter<'a> {
    set: &'a RangeSet,
    place: usize,
    current: Option<IpAddr>,
    start: Option<IpAddr>,
}

impl<'a> RangeIter<'a> {
    pub(super) fn new(set: &'a RangeSet, last_reserved: Option<IpAddr>) -> RangeIter<'a> {
        let mut iter = RangeIter { set, place: 0, current: None, start: None };
        match last_reserved.and_then(|last| set.ranges().iter().position(|range| range.contains(last))) {
            Some(place) => {
                iter.place = place;
                iter.current = last_reserved;
            }
            None => iter.start = Some(set.ranges()[0].start()),
        }
        iter
    }

    fn range(&self) -> &'a Range {
        &self.set.ranges()[self.place]
    }
}

impl<'a> Iterator for RangeIter<'a> {
    type Item = (IpAddr, &'a Range);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = match self.current {
                None => {
                    let first = self.range().start();
                    self.start = Some(first);
                    first
                }
                Some(current) => {
                    let next = if current == self.range().end() {
                        self.place = (self.place + 1) % self.set.ranges().len();
                        self.range().start()
                    } else {
                        address_of(number_of(current) + 1, current.is_ipv4())
                    };
                    match self.start {
                        None => self.start = Some(next),
                        Some(start) if start == next => return None,
                        Some(_) => {}
                    }
                    next
                }
            };
            self.current = Some(next);
            if next != self.range().gateway() {
                return Some((next, self.range()));
            }
        }
    }
}
