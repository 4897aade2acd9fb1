"""From a trained model to a row of metrics for each test pair."""
