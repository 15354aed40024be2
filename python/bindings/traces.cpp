#include <fmt/format.h>
#include <nanobind/operators.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "bindings.h"
#include "rows.h"
#include "trace/geometry.h"
#include "trace/manifest.h"
#include "trace/parquet/validate.h"

namespace foregate::python {
namespace {

using trace::Geometry;

template <typename T>
using Pair = std::optional<std::pair<List<int64_t>, List<T>>>;

template <typename T>
std::optional<ListColumn<T>> column_of(const Pair<T>& pair) {
  if (!pair) return std::nullopt;
  return ListColumn<T>{pair->first, pair->second};
}

void make_geometry(Geometry* self, int num_moe_layers, int num_experts, int top_k, int hidden_size,
                   int vocab_size, int num_decoder_layers,
                   std::optional<std::vector<int>> moe_layers) {
  Geometry geometry{num_moe_layers, num_experts,        top_k, hidden_size,
                    vocab_size,     num_decoder_layers, {}};
  if (moe_layers) {
    geometry.moe_layers = std::move(*moe_layers);
  } else {
    for (int layer = 0; layer < std::min(num_moe_layers, trace::kMaxLayers); ++layer)
      geometry.moe_layers.push_back(layer);
  }
  try {
    trace::check_geometry(geometry, "geometry");
  } catch (const DataError& error) {
    throw UsageError(error.what());  // here it was given, not read
  }
  new (self) Geometry(std::move(geometry));
}

Geometry geometry_from_text(const std::string& text, const std::string& where) {
  const Json json = parse_json(text, where);
  return trace::geometry_from_json(JsonReader(json, where));
}

std::string geometry_repr(const Geometry& geometry) {
  return fmt::format(
      "Geometry(num_moe_layers={}, num_experts={}, top_k={}, hidden_size={}, vocab_size={})",
      geometry.num_moe_layers, geometry.num_experts, geometry.top_k, geometry.hidden_size,
      geometry.vocab_size);
}

void make_rows(Rows* self, std::vector<std::string> datasets, List<int32_t> dataset_of,
               List<int64_t> samples, List<int64_t> num_tokens, List<int64_t> prompt_tokens,
               const Pair<int32_t>& token_ids, const Pair<uint8_t>& narrow_experts,
               const Pair<uint16_t>& wide_experts, const Pair<uint16_t>& gate_weights,
               const Pair<uint16_t>& router_logits) {
  Rows rows{std::move(datasets),
            std::move(dataset_of),
            std::move(samples),
            std::move(num_tokens),
            std::move(prompt_tokens),
            column_of(token_ids),
            column_of(narrow_experts),
            column_of(wide_experts),
            column_of(gate_weights),
            column_of(router_logits),
            false};
  check_layout(rows);
  new (self) Rows(std::move(rows));
}

/// Throws DataError for the first text that breaks a rule of the format, "<where>: row <n>
/// (<dataset> <sample>): <what>".
void check_rows(Rows& rows, const Geometry& geometry, const std::string& where, int64_t first_row) {
  const nb::gil_scoped_release release;
  trace::Trace trace;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows.read(i, trace);
    std::string problem = trace::size_problem(trace, rows.num_tokens(i), geometry, rows.columns());
    if (problem.empty()) problem = trace::value_problem(trace, geometry);
    if (problem.empty()) continue;
    throw DataError(fmt::format("{}: row {} ({} {}): {}", where,
                                first_row + static_cast<int64_t>(i), trace.dataset, trace.sample,
                                problem));
  }
  rows.checked = true;
}

}  // namespace

void bind_traces(nb::module_& module) {
  nb::class_<Geometry>(
      module, "Geometry",
      "The shape of a model's routing. Raises UsageError for one no model can have.")
      .def("__init__", make_geometry, nb::kw_only(), nb::arg("num_moe_layers"),
           nb::arg("num_experts"), nb::arg("top_k"), nb::arg("hidden_size") = 0,
           nb::arg("vocab_size") = 0, nb::arg("num_decoder_layers") = 0,
           nb::arg("moe_layers") = nb::none())
      .def_static("from_json", geometry_from_text, nb::arg("text"), nb::arg("where"))
      .def("to_json",
           [](const Geometry& geometry) { return trace::geometry_to_json(geometry).dump(); })
      .def("difference", &trace::geometry_difference, nb::arg("expected"),
           "'num_experts is 8, expected 60' for the first field that differs; '' if none does.")
      .def_ro("num_moe_layers", &Geometry::num_moe_layers, "L")
      .def_ro("num_experts", &Geometry::num_experts,
              "E, of an MoE layer; shared ones are not counted")
      .def_ro("top_k", &Geometry::top_k, "k")
      .def_ro("hidden_size", &Geometry::hidden_size, "0 if unknown")
      .def_ro("vocab_size", &Geometry::vocab_size, "0 if unknown")
      .def_ro("num_decoder_layers", &Geometry::num_decoder_layers, "0 if unknown")
      .def_ro("moe_layers", &Geometry::moe_layers, "[L] decoder layer of each MoE layer")
      .def(nb::self == nb::self, nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def("__repr__", geometry_repr);

  nb::class_<Rows>(module, "Rows",
                   "Some texts as their columns lie in memory; list columns are (offsets, values).")
      .def("__init__", make_rows, nb::kw_only(), nb::arg("datasets"), nb::arg("dataset_of"),
           nb::arg("samples"), nb::arg("num_tokens"), nb::arg("prompt_tokens"),
           nb::arg("token_ids") = nb::none(), nb::arg("narrow_experts") = nb::none(),
           nb::arg("wide_experts") = nb::none(), nb::arg("gate_weights") = nb::none(),
           nb::arg("router_logits") = nb::none())
      .def("__len__", &Rows::size)
      .def("check", check_rows, nb::arg("geometry"), nb::arg("where"), nb::arg("first_row"),
           "Raises DataError for the first text that breaks a rule of the format.");

  module.attr("FORMAT_VERSION") = trace::kTraceFormatVersion;
  module.def(
      "check_manifest",
      [](const std::string& text, const std::string& where) {
        trace::Manifest::from_json(parse_json(text, where), where);
      },
      nb::arg("text"), nb::arg("where"),
      "Raises DataError naming the key that is not as the format says.");
}

}  // namespace foregate::python
