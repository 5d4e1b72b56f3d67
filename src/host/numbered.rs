//! Functions that differ only by a number: hosts call some of ours without telling for which row of
//! a table, so each row has its own function.

/// The first `N` of them.
pub(super) const fn first<F: Copy, const ALL: usize, const N: usize>(all: [F; ALL]) -> [F; N] {
    assert!(
        N <= ALL,
        "more rows than numbered functions: lengthen the list in numbered!"
    );
    let mut some = [all[0]; N];
    let mut at = 0;
    while at < N {
        some[at] = all[at];
        at += 1;
    }
    some
}

/// `numbered!(run)` is `[run::<0>, run::<1>, …]`, as long as needed.
macro_rules! numbered {
    ($function:ident) => {
        $crate::host::numbered::numbered!($function:
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60
            61 62 63)
    };
    ($function:ident: $($number:literal)*) => {
        $crate::host::numbered::first([$($function::<$number>),*])
    };
}
pub(super) use numbered;

#[cfg(test)]
mod tests {
    const fn number<const NUMBER: usize>() -> usize {
        NUMBER
    }

    #[test]
    fn each_has_its_own_number() {
        const SOME: [fn() -> usize; 5] = numbered!(number);
        assert_eq!(SOME.map(|number| number()), [0, 1, 2, 3, 4]);
    }
}
