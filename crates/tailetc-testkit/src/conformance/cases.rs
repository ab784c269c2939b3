//! The cases as tests and as data, and what becomes of one whose needs a store does not meet.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tailetc_core::backend::KvBackend;

use super::Capability;

/// One separately named `#[tokio::test]` for each case of the conformance suite, each on a fixture
/// of its own.
///
/// The argument is a type that implements
/// [`Fixture`](crate::conformance::Fixture). The crate that calls the macro needs `tokio` among its
/// dev-dependencies, with the features `macros` and `rt-multi-thread`. See
/// [`conformance`](crate::conformance) for an example.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:ty) => {
        $crate::__for_each_conformance_case! { [$crate::__conformance_tests] { $fixture } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ({ $fixture:ty } $($area:ident: [$($case:ident $(needs $($need:ident)+)?,)*],)*) => {
        $crate::__conformance_tests! { @each $($($case { $fixture })*)* }
    };
    (@each $($case:ident { $fixture:ty })*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::run::<$fixture>(stringify!($case)).await;
            }
        )*
    };
}

/// One case of the suite, as data.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// What the case is about: the module that it is in.
    pub area: &'static str,
    /// Its name, which is also that of its function and its test.
    pub name: &'static str,
    /// What its requests ask of a store beyond what every store offers.
    pub needs: &'static [Capability],
    run: fn(Arc<dyn KvBackend>) -> Running,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Case {
    /// Runs the case on a store that is fresh and empty. Of a store that lacks something that the
    /// case needs, it asserts instead that the store refuses requests for it as
    /// [`Unsupported`](tailetc_core::backend::BackendErrorKind::Unsupported) and applies nothing of
    /// them.
    ///
    /// # Panics
    ///
    /// When the store does not do what it must.
    pub async fn run(&self, backend: Arc<dyn KvBackend>) {
        let offered = backend.capabilities();
        let mut complete = true;
        for need in self.needs {
            if !need.is_offered(&offered) {
                complete = false;
                need.is_refused(Arc::clone(&backend)).await;
            }
        }
        if complete {
            (self.run)(backend).await;
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.area, self.name)
    }
}

macro_rules! as_data {
    ({} $($area:ident: [$($case:ident $(needs $($need:ident)+)?,)*],)*) => {
        &[$($(
            Case {
                area: stringify!($area),
                name: stringify!($case),
                needs: &[$($(capability!($need)),+)?],
                run: |backend| Box::pin(super::$area::$case(backend)),
            },
        )*)*]
    };
}

macro_rules! capability {
    (leases) => {
        Capability::Leases
    };
    (nested_txns) => {
        Capability::NestedTxns
    };
    (sorted_ranges) => {
        Capability::SortedRanges
    };
    (watch_filters) => {
        Capability::WatchFilters
    };
}

/// Every case, in the order of the list that [`conformance_tests!`](crate::conformance_tests)
/// makes tests of.
pub const CASES: &[Case] = crate::__for_each_conformance_case! { [as_data] {} };

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::CASES;

    /// The cases that the modules define.
    fn defined() -> BTreeSet<(String, String)> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
        let mut found = BTreeSet::new();
        for file in fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            let area = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let source = fs::read_to_string(&path).unwrap();
            for line in source.lines() {
                if let Some(rest) = line.strip_prefix("pub async fn ") {
                    let name = rest.split(['(', '<']).next().unwrap();
                    found.insert((area.clone(), name.to_owned()));
                }
            }
        }
        found.remove(&("mod".to_owned(), "run".to_owned()));
        found
    }

    #[test]
    fn list_holds_exactly_the_cases_that_are_defined() {
        let listed: BTreeSet<(String, String)> =
            CASES.iter().map(|case| (case.area.to_owned(), case.name.to_owned())).collect();
        assert_eq!(listed, defined());
        assert_eq!(listed.len(), CASES.len(), "a case is listed twice");
    }

    #[test]
    fn names_of_cases_are_unique_over_all_areas() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
