"""What a learner of sets is compared with: the same network without meta-learning, and joint
training of all meta-training tasks."""
