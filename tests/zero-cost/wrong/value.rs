// error[E0277]: a step is an integer
fn main() {
    orch_log::orch_log!("x", &[1.0f32], 0; step = "one");
}
