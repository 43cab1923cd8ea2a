"""Public doubles for integration tests: a simulated Klipper and a mock Spoolman, both Trio-native."""
