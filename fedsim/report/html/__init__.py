"""Reports as pages: one HTML file each, which reads without a network and without JavaScript."""
