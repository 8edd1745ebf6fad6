"""Between the wire and the domain: orders in, components out, views back."""
