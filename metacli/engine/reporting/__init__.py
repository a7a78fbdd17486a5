"""The parts of a report: what it tells, its plots and pictures, and the page that they are on."""
