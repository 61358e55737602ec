//! The country in miniature: units, regimes and seeded reports.
