// error[E0277]: elements must be numbers
fn main() {
    orch_log::orch_log!("x", &[1u128, 2], 0);
}
