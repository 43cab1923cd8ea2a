"""The doubles' fixtures serve every test."""

pytest_plugins = ["trio_moon.testing.fixtures"]
