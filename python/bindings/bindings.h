#pragma once

// What each file of this folder adds to the module `foregate._core`.

#include <nanobind/nanobind.h>

namespace foregate::python {

namespace nb = nanobind;

/// Errors of foregate become those of foregate/errors.py.
void bind_errors();
/// Predictors, sequences and batches, over include/foregate/predictor.h.
void bind_predictor(nb::module_& module);
/// The shape of a model, manifests, texts in columns and what the format demands of them.
void bind_traces(nb::module_& module);
/// Which text is trained on, and which is kept with its hidden states.
void bind_splits(nb::module_& module);
/// How a router decides.
void bind_routers(nb::module_& module);
/// Accumulators of src/stats.
void bind_statistics(nb::module_& module);

}  // namespace foregate::python
