package opentelemetry_test

import (
	"log"

	"github.com/galloc-go/galloc/adapters/opentelemetry"
	"go.opentelemetry.io/otel"
)

func ExampleRegister() {
	registration, err := opentelemetry.Register(otel.GetMeterProvider(), opentelemetry.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()
	// Output:
}
