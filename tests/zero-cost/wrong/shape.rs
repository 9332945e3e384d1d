// error[E0277]: a shape is text or sizes
fn main() {
    orch_log::orch_log!("x", &[1.0f32], 0, 1.5);
}
