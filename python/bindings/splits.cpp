#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "bindings.h"
#include "rows.h"
#include "trace/features.h"
#include "trace/split/split.h"

namespace foregate::python {
namespace {

/// Texts as they come, for a split.
struct Texts {
  std::vector<trace::SplitText> texts;

  void add(const Rows& rows) {
    const nb::gil_scoped_release release;
    rows.visit(std::nullopt, [&](const trace::Trace& trace) {
      texts.push_back({trace.dataset, trace.sample, trace.token_ids});
    });
  }

  NumpyArray<uint8_t> split(uint64_t seed, double validation, double test) const {
    std::vector<uint8_t> splits;
    {
      const nb::gil_scoped_release release;
      for (const trace::Split split : trace::split_texts(texts, seed, {validation, test})) {
        splits.push_back(static_cast<uint8_t>(split));
      }
    }
    const size_t size = splits.size();
    return numpy_array(std::move(splits), {size});
  }
};

}  // namespace

void bind_splits(nb::module_& module) {
  module.def(
      "split_names",
      [] {
        std::vector<std::string> names;
        for (const auto split :
             {trace::Split::kTrain, trace::Split::kValidation, trace::Split::kTest}) {
          names.emplace_back(trace::split_name(split));
        }
        return names;
      },
      "The names of splits; SplitTexts.split gives indices of them.");
  nb::class_<Texts>(module, "SplitTexts",
                    "All texts of a trace, to be dealt out to training, validation and test.")
      .def(nb::init<>())
      .def("add", &Texts::add, nb::arg("rows"))
      .def("split", &Texts::split, nb::arg("seed"), nb::arg("validation"), nb::arg("test"),
           "For each text its index in split_names(), uint8 [texts].");
  module.def(
      "keeps_states", trace::features::is_chosen, nb::arg("dataset"), nb::arg("sample"),
      nb::arg("seed"), nb::arg("fraction"),
      "Whether the trace keeps the hidden states of a text: a share of them, chosen by hash.");
}

}  // namespace foregate::python
