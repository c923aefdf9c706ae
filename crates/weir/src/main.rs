//! weir: stream video, shape the network, measure what the viewer saw.
fn main() {}
