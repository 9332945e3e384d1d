// error[E0425]: no such variable
fn main() {
    orch_log::orch_log!("x", &values, 0);
}
