// error[E0277]: a name is text
fn main() {
    orch_log::orch_log!(17, &[1.0f32], 0);
}
