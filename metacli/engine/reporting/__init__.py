"""The parts of a report: its sections, plots and images, and the page that they are on."""
