// error[E0599]: no such key
fn main() {
    orch_log::orch_log!("x", &[1.0f32], 0; colour = 3);
}
