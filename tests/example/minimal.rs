//! What the README promises: accounts, and a guarded route of one's own, in twenty lines.

#[test]
fn accounts_and_a_guarded_route_take_no_more_than_twenty_lines() {
    for app in [include_str!("../../examples/minimal_axum.rs"), include_str!("../../examples/minimal_actix.rs")] {
        assert!(app.lines().count() <= 20, "{app}");
        assert!(app.contains("auth_system::") && app.contains("user: CurrentUser"), "{app}");
    }
}
