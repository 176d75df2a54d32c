use super::*;

#[test]
fn a_budget_refills_evenly_within_an_hour() {
    let mut budget = AtomBudget::new(10);
    let start = Duration::from_secs(100);
    let mut spent = 0;
    while budget.has_any(start) {
        assert_eq!(budget.has_half(start), spent < 5);
        budget.spend(start);
        spent += 1;
    }
    assert_eq!(spent, 10);
    assert!(!budget.has_any(start + REFILL / 11));
    assert!(budget.has_any(start + REFILL / 10));
    assert!(!budget.has_half(start + REFILL / 2));
    assert!(budget.has_half(start + REFILL * 6 / 10));
}

#[test]
fn trust_is_given_to_half_a_budget_until_it_is_proven() {
    let mut budget = AtomBudget::new(5);
    for day in 1..=3 {
        assert!(budget.trusts());
        budget.trust(REFILL * 24 * day, &format!("n{day}@h"));
    }
    assert!(!budget.trusts());
    budget.settle(|name| name == "n2@h");
    assert!(budget.trusts());
}
