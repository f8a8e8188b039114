// Functions without a body, such as those in pin.go, need a file like this in their package.
