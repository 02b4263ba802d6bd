"""Update a trained model with new events."""
