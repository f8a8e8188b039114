use std::alloc::System;

#[global_allocator]
static A: System = System;

fn name_of<T>(_: &T) -> &'static str {
    std::any::type_name::<T>().rsplit("::").next().unwrap()
}

fn main() {
    let a = Box::new(4); // from the system allocator
    println!("{}, from {}", a, name_of(&A));
}
