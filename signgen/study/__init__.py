"""A study with people: generated and real pictures in, a page to judge them on; answers in, R2G, G2R and Jab out."""
