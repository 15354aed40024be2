#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <nlohmann/json.hpp>

#include "arrays.h"
#include "base/error.h"
#include "bindings.h"
#include "trace/router_decision.h"
#include "trace/router_kernel.h"
#include "trace/router_spec.h"

namespace foregate::python {
namespace {

using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

/// What a router decides of logits [tokens, E]: experts [tokens, k] and gate weights [tokens, k].
std::pair<NumpyArray<int64_t>, NumpyArray<float>> decide(const Matrix& logits,
                                                         const std::string& spec_text,
                                                         int64_t top_k,
                                                         const List<float>& logit_bias,
                                                         const List<float>& choice_bias) {
  const Json json = parse_json(spec_text, "router");
  const trace::RouterSpec spec = trace::router_spec_from_json(JsonReader(json, "router"));
  const auto tokens = logits.shape(0);
  const auto experts = static_cast<int64_t>(logits.shape(1));
  trace::check_router_spec(spec, experts, top_k, "router");
  const trace::RouterBiasSpans biases{span_of(logit_bias), span_of(choice_bias)};
  for (const auto bias : {biases.logit, biases.choice}) {
    if (!bias.empty() && std::ssize(bias) != experts)
      throw UsageError("router: a bias that is not one number an expert");
  }
  const auto k = static_cast<size_t>(top_k);
  std::vector<int64_t> chosen(tokens * k);
  std::vector<float> gates(tokens * k);
  {
    const nb::gil_scoped_release release;
    trace::RouterDecision decision(spec, biases, experts, top_k);
    for (size_t token = 0; token < tokens; ++token) {
      decision.decide(logits.data() + token * logits.shape(1), chosen.data() + token * k,
                      gates.data() + token * k);
    }
  }
  return {numpy_array(std::move(chosen), {tokens, k}), numpy_array(std::move(gates), {tokens, k})};
}

/// Logits of a router in the one order of additions that foregate's own control recomputes them in.
NumpyArray<float> logits(const Matrix& inputs, const Matrix& weight) {
  if (inputs.shape(1) != weight.shape(1)) {
    throw UsageError("router inputs and weights of different hidden sizes");
  }
  std::vector<float> values(inputs.shape(0) * weight.shape(0));
  {
    const nb::gil_scoped_release release;
    trace::router_logits_kernel(trace::best_router_isa(), inputs.data(), weight.data(),
                                values.data(), static_cast<int64_t>(inputs.shape(0)),
                                static_cast<int64_t>(weight.shape(0)),
                                static_cast<int64_t>(inputs.shape(1)));
  }
  return numpy_array(std::move(values), {inputs.shape(0), weight.shape(0)});
}

}  // namespace

void bind_routers(nb::module_& module) {
  module.def("router_logits", logits, nb::arg("inputs"), nb::arg("weight"),
             "Logits [tokens, E] of router inputs, float32 [tokens, H], by a router's weight, "
             "float32 [E, H], to the bit as "
             "the control of evaluations computes them.");
  module.def("decide", decide, nb::arg("logits"), nb::arg("router"), nb::arg("top_k"),
             nb::arg("logit_bias"), nb::arg("choice_bias"),
             "Decisions of a router (the manifest's `router` object as JSON) from its logits, "
             "float32 [tokens, E]; biases "
             "are [E] or empty.");
}

}  // namespace foregate::python
