//! What was undone before anything was compared.

use super::build::Material;
use super::v1;

/// Maps, offset and layouts.
pub(super) fn alignment(material: &Material<'_>) -> v1::Alignment {
    let surveys = [material.surveys.0, material.surveys.1];
    let maps = material
        .maps
        .iter()
        .zip(["reference", "candidate"])
        .zip(surveys);
    v1::Alignment {
        maps: maps
            .filter_map(|((chosen, side), survey)| {
                Some(v1::NameMapUse {
                    side: side.to_owned(),
                    map: chosen.map.as_ref()?.name().to_owned(),
                    automatic: chosen.is_automatic,
                    foreign_names: chosen.foreign_names as u64,
                    known_names: chosen.known_names as u64,
                    ignored_records: survey.ignored,
                })
            })
            .collect(),
        token_offset: material.token_offset,
        undone: material
            .pairing
            .undone
            .iter()
            .map(|(what, place)| v1::UndoneDifference {
                name: what.name().to_owned(),
                what: what.to_string(),
                pairs: place.pairs,
                checkpoints: place.checkpoints.iter().cloned().collect(),
            })
            .collect(),
    }
}
