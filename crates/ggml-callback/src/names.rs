//! Names as small numbers: a pass has hundreds of them and sees the same ones again at every token.

use std::collections::HashMap;

use super::naming::Place;
use super::order;

/// A name that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameId(u32);

impl NameId {
    /// From 0, without gaps.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// All names seen so far. Grows with the model and the graph, not with the tokens.
#[derive(Debug, Default)]
pub(super) struct Names {
    texts: Vec<Box<str>>,
    by_text: HashMap<Box<str>, NameId>,
    /// By [`order::number`].
    by_number: Vec<Option<NameId>>,
}

impl Names {
    /// The number of a text.
    pub(super) fn of(&mut self, text: &str) -> NameId {
        if let Some(known) = self.by_text.get(text) {
            return *known;
        }
        let new = NameId(u32::try_from(self.texts.len()).expect("a graph has fewer nodes"));
        self.texts.push(text.into());
        self.by_text.insert(text.into(), new);
        new
    }

    /// The number of a checkpoint's whole name.
    pub(super) fn of_place(&mut self, place: &Place) -> NameId {
        let Some(number) = order::number(place.layer, place.point) else {
            return self.of(&place.name());
        };
        if self.by_number.len() <= number {
            self.by_number.resize(number + 1, None);
        }
        match self.by_number[number] {
            Some(known) => known,
            None => {
                let new = self.of(&place.name());
                self.by_number[number] = Some(new);
                new
            }
        }
    }

    /// The text of a name.
    pub(super) fn text(&self, name: NameId) -> &str {
        &self.texts[name.index()]
    }
}

/// A set of names.
#[derive(Debug, Default)]
pub(super) struct NameSet {
    members: Vec<bool>,
}

impl NameSet {
    /// True when it is new.
    pub(super) fn insert(&mut self, name: NameId) -> bool {
        if self.members.len() <= name.index() {
            self.members.resize(name.index() + 1, false);
        }
        !std::mem::replace(&mut self.members[name.index()], true)
    }

    pub(super) fn contains(&self, name: NameId) -> bool {
        self.members.get(name.index()).is_some_and(|yes| *yes)
    }

    pub(super) fn clear(&mut self) {
        self.members.fill(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn a_place_and_its_text_are_one_name() {
        let mut names = Names::default();
        let place = |layer, point| Place {
            layer,
            point,
            layout: Layout::Rows,
        };
        let text = names.of("layer_7_q");
        assert_eq!(names.of_place(&place(Some(7), "q")), text);
        let others = [
            place(Some(7), "k"),
            place(Some(8), "q"),
            place(None, "logits"),
        ];
        let ids = others.map(|place| names.of_place(&place));
        assert_eq!(
            ids.map(|id| names.text(id)),
            ["layer_7_k", "layer_8_q", "logits"]
        );
        assert_eq!(others.map(|place| names.of_place(&place)), ids);

        let mut set = NameSet::default();
        assert!(set.insert(ids[0]) && !set.insert(ids[0]));
        assert!(set.contains(ids[0]) && !set.contains(ids[1]));
        set.clear();
        assert!(!set.contains(ids[0]));
    }
}
