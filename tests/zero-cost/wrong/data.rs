// error[E0277]: text is no tensor
fn main() {
    orch_log::orch_log!("x", "text", 0);
}
