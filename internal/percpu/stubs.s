// The compiler accepts functions without a body, as percpu.go has, only in packages with an
// assembly file.
