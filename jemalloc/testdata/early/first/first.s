// An assembly file lets a function of this package be without a body.
