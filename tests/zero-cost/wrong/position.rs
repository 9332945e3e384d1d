// error[E0277]: a position is an integer
fn main() {
    orch_log::orch_log!("x", &[1.0f32], 0.5);
}
