//! What was undone before anything was compared.

use super::build::Material;
use super::v1;
use crate::align::maps::Chosen;
use crate::check::Survey;

/// Maps, offset and layouts.
pub(super) fn alignment(material: &Material<'_>) -> v1::Alignment {
    let surveys = [material.surveys.0, material.surveys.1];
    v1::Alignment {
        maps: map_uses(material.maps, surveys),
        token_offset: material.token_offset,
        reference: covered(material, 0),
        candidate: covered(material, 1),
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

fn covered(material: &Material<'_>, side: usize) -> v1::Covered {
    let survey = [material.surveys.0, material.surveys.1][side];
    let unpaired = [&material.unpaired.0, &material.unpaired.1][side];
    v1::Covered {
        records: survey.records_of(material.filter),
        compared: material.pairing.compared_records[side],
        rests: unpaired.rests,
    }
}

/// The maps of reference and candidate, where there are any.
pub(crate) fn map_uses(maps: [&Chosen; 2], surveys: [&Survey; 2]) -> Vec<v1::NameMapUse> {
    let sides = maps.iter().zip(["reference", "candidate"]).zip(surveys);
    sides
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
        .collect()
}
