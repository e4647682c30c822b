//! `[ai.gate]`: what labels must reach on the golden file before they go into tables.

use super::spot::Located;

/// A label that is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Field {
    /// How a post sounds.
    Sentiment,
    /// How much harm it tells of.
    RiskLevel,
    /// Whose concern that is.
    RiskCategory,
    /// What it is about.
    Theme,
    /// What to do.
    Action,
    /// The taxonomy's word for it.
    IssueType,
}

impl Field {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Field; 6] = [
        Field::Sentiment,
        Field::RiskLevel,
        Field::RiskCategory,
        Field::Theme,
        Field::Action,
        Field::IssueType,
    ];

    /// The word in configuration and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Field::Sentiment => "sentiment",
            Field::RiskLevel => "risk_level",
            Field::RiskCategory => "risk_category",
            Field::Theme => "theme",
            Field::Action => "action",
            Field::IssueType => "issue_type",
        }
    }
}

/// How well the labels of one field agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Agreement {
    /// Share of posts with the right label.
    Accuracy,
    /// Mean of the labels' F1, each counting the same.
    MacroF1,
    /// Cohen's κ: agreement beyond chance.
    Kappa,
}

/// Something that is measured on the golden file, and may have a lowest value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// Of the posts, how many got an answer.
    Answered,
    /// Of the high risks, how many were found.
    HighRiskRecall,
    /// Of those found as high risks, how many are.
    HighRiskPrecision,
    /// The same of high risks for patients alone.
    PatientSafetyRecall,
    /// The same of high risks for patients alone.
    PatientSafetyPrecision,
    /// Of one field.
    Of(Field, Agreement),
}

impl Measure {
    /// All of them, in the order in which they are shown.
    pub fn all() -> impl Iterator<Item = Measure> {
        let alone = [
            Measure::Answered,
            Measure::HighRiskRecall,
            Measure::HighRiskPrecision,
            Measure::PatientSafetyRecall,
            Measure::PatientSafetyPrecision,
        ];
        let of = |field| {
            [Agreement::Accuracy, Agreement::MacroF1, Agreement::Kappa].map(|a| Measure::Of(field, a))
        };
        alone.into_iter().chain(Field::ALL.into_iter().flat_map(of))
    }

    /// The word in configuration and answers, such as `sentiment_macro_f1`.
    pub fn name(self) -> String {
        match self {
            Measure::Answered => "answered".to_string(),
            Measure::HighRiskRecall => "high_risk_recall".to_string(),
            Measure::HighRiskPrecision => "high_risk_precision".to_string(),
            Measure::PatientSafetyRecall => "patient_safety_recall".to_string(),
            Measure::PatientSafetyPrecision => "patient_safety_precision".to_string(),
            Measure::Of(field, agreement) => {
                let end = match agreement {
                    Agreement::Accuracy => "accuracy",
                    Agreement::MacroF1 => "macro_f1",
                    Agreement::Kappa => "kappa",
                };
                format!("{}_{end}", field.as_str())
            }
        }
    }

    /// The measure of a word.
    pub fn of_name(name: &str) -> Option<Measure> {
        Self::all().find(|m| m.name() == name)
    }
}

/// `[ai.gate]`.
#[derive(Clone, PartialEq, Debug)]
pub struct GateConfig {
    /// The golden file, relative to the project; without it, the one inside the program.
    pub golden: Option<Located<String>>,
    /// The lowest values, from 0 to 1, in the order written.
    pub min: Vec<(Measure, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        let names: Vec<String> = Measure::all().map(Measure::name).collect();
        assert_eq!(names.len(), 23);
        for (measure, name) in Measure::all().zip(&names) {
            assert_eq!(Measure::of_name(name), Some(measure));
            assert_eq!(names.iter().filter(|n| *n == name).count(), 1, "{name}");
        }
        assert_eq!(Measure::of_name("f1"), None);
    }
}
