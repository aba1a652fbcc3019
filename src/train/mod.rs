//! Objective, schedule, optimiser steps and metrics.
