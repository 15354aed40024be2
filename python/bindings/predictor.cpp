// Predictors for Python: the functions of include/foregate/predictor.h with arrays in and out.
#include <fmt/format.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "arrays.h"
#include "bindings.h"
#include "errors.h"
#include "predictor_handles.h"

namespace foregate::python {
namespace {

using Scores = nb::ndarray<nb::numpy, float, nb::c_contig>;
using Experts = nb::ndarray<nb::numpy, int32_t, nb::c_contig>;

void check(foregate_status status) {
  if (status == FOREGATE_OK) return;
  const char* message = foregate_last_error();
  switch (status) {
    case FOREGATE_INVALID_ARGUMENT:
      throw_error("UsageError", message);
    case FOREGATE_NOT_FOUND:
      throw_error("NotFoundError", message);
    case FOREGATE_BAD_DATA:
      throw_error("DataError", message);
    case FOREGATE_UNSUPPORTED:
      throw_error("UnsupportedError", message);
    case FOREGATE_NOT_OBSERVED:
      throw_error("NotObservedError", message);
    case FOREGATE_OUT_OF_MEMORY:
      throw std::bad_alloc();
    default:
      throw_error("ForegateError", message);
  }
}

/// Runs a call of the C API without the GIL.
template <typename Call>
void run(const Call& call) {
  foregate_status status = FOREGATE_OK;
  {
    const nb::gil_scoped_release release;
    status = call();
  }
  check(status);
}

std::shared_ptr<PredictorHandle> load(const std::filesystem::path& directory) {
  foregate_predictor* loaded = nullptr;
  run([&] { return foregate_predictor_load(directory.c_str(), &loaded); });
  auto predictor = std::make_shared<PredictorHandle>();
  predictor->handle.reset(loaded);
  predictor->info.struct_size = sizeof(predictor->info);
  check(foregate_predictor_get_info(loaded, &predictor->info));
  return predictor;
}

std::optional<int32_t> moe_layer(const PredictorHandle& predictor, int32_t decoder_layer) {
  int32_t layer = -1;
  check(foregate_predictor_moe_layer(predictor.handle.get(), decoder_layer, &layer));
  if (layer < 0) return std::nullopt;
  return layer;
}

std::shared_ptr<SequenceHandle> make_sequence(const std::shared_ptr<PredictorHandle>& predictor) {
  foregate_sequence* made = nullptr;
  check(foregate_sequence_create(predictor->handle.get(), &made));
  auto sequence = std::make_shared<SequenceHandle>();
  sequence->predictor = predictor;
  sequence->handle.reset(made);
  return sequence;
}

Batch make_batch(const std::shared_ptr<PredictorHandle>& predictor,
                 std::vector<std::shared_ptr<SequenceHandle>> sequences) {
  Batch batch;
  batch.predictor = predictor;
  for (const auto& sequence : sequences) {
    if (!sequence || sequence->predictor != predictor) {
      throw_error("UsageError", fmt::format("sequence {} of the batch is of another predictor",
                                            batch.handles.size()));
    }
    foregate_sequence* handle = sequence->handle.get();
    if (std::find(batch.handles.begin(), batch.handles.end(), handle) != batch.handles.end()) {
      throw_error("UsageError",
                  fmt::format("sequence {} of the batch is in it twice", batch.handles.size()));
    }
    batch.handles.push_back(handle);
  }
  batch.sequences = std::move(sequences);
  return batch;
}

// One sequence and a batch are called alike: handles, how many, and whether results have an axis
// for them.

struct Called {
  foregate_sequence* const* handles;
  size_t count;
  bool is_batch;
  const foregate_predictor_info& info;
};

struct OneHandle {
  foregate_sequence* handle;
};

template <typename T, typename Array>
Array output(const Called& called, size_t width, std::optional<Array>& out) {
  if (out) {
    const bool fits = called.is_batch ? out->ndim() == 2 && out->shape(0) == called.count &&
                                            out->shape(1) == width
                                      : out->ndim() == 1 && out->shape(0) == width;
    if (!fits) {
      throw_error("UsageError",
                  called.is_batch
                      ? fmt::format("out has another shape; expected [{}, {}]", called.count, width)
                      : fmt::format("out has another shape; expected [{}]", width));
    }
    return *out;
  }
  std::vector<T> values(called.count * width);
  if (called.is_batch) return numpy_array(std::move(values), {called.count, width});
  return numpy_array(std::move(values), {width});
}

Scores scores(const Called& called, int32_t layer, std::optional<Scores> out) {
  Scores result = output<float>(called, static_cast<size_t>(called.info.num_experts), out);
  run([&] { return foregate_predict_scores(called.handles, called.count, layer, result.data()); });
  return result;
}

Scores probabilities(const Called& called, int32_t layer, std::optional<Scores> out) {
  Scores result = output<float>(called, static_cast<size_t>(called.info.num_experts), out);
  run([&] {
    return foregate_predict_probabilities(called.handles, called.count, layer, result.data());
  });
  return result;
}

Experts best(const Called& called, int32_t layer, std::optional<int64_t> m,
             std::optional<Experts> out) {
  const int64_t wanted = m.value_or(called.info.top_k);
  if (wanted < 1 || wanted > called.info.num_experts) {
    throw_error("UsageError", fmt::format("m is {}; expected 1 to the model's {} experts", wanted,
                                          called.info.num_experts));
  }
  const auto width = static_cast<size_t>(wanted);
  Experts result = output<int32_t>(called, width, out);
  run([&] {
    return foregate_predict_best(called.handles, called.count, layer, width, result.data());
  });
  return result;
}

nb::list at_least(const Called& called, int32_t layer, float threshold) {
  const auto width = static_cast<size_t>(called.info.num_experts);
  std::vector<int32_t> experts(called.count * width);
  std::vector<size_t> found(called.count);
  run([&] {
    return foregate_predict_at_least(called.handles, called.count, layer, threshold, experts.data(),
                                     found.data());
  });
  nb::list rows;
  for (size_t i = 0; i < called.count; ++i) {
    const auto first = experts.begin() + static_cast<std::ptrdiff_t>(i * width);
    std::vector<int32_t> row(first, first + static_cast<std::ptrdiff_t>(found[i]));
    rows.append(nb::cast(numpy_array(std::move(row), {found[i]})));
  }
  return rows;
}

/// Hidden states as the C API reads them.
struct States {
  AnyArray array;
  int dtype = FOREGATE_FLOAT32;
};

bool is_named_bfloat16(nb::handle object) {
  if (!nb::hasattr(object, "dtype") || !nb::hasattr(object, "view")) return false;
  const nb::object dtype = object.attr("dtype");
  return nb::cast<std::string>(nb::str(dtype)) == "bfloat16";
}

States states_of(nb::handle object) {
  States states;
  // NumPy has no bfloat16 of its own; that of ml_dtypes cannot be read as an array, but as its
  // bits.
  const bool is_foreign = !nb::try_cast(object, states.array) && is_named_bfloat16(object);
  if (is_foreign) {
    states.array = any_array(object.attr("view")("uint16"), "the hidden state");
  } else {
    states.array = any_array(object, "the hidden state");
  }
  const nb::dlpack::dtype dtype = states.array.dtype();
  if (is_foreign ||
      dtype == nb::dlpack::dtype{static_cast<uint8_t>(nb::dlpack::dtype_code::Bfloat), 16, 1}) {
    states.dtype = FOREGATE_BFLOAT16;
  } else if (dtype == nb::dtype<float>()) {
    states.dtype = FOREGATE_FLOAT32;
  } else if (dtype ==
             nb::dlpack::dtype{static_cast<uint8_t>(nb::dlpack::dtype_code::Float), 16, 1}) {
    states.dtype = FOREGATE_FLOAT16;
  } else {
    throw_error("UsageError",
                fmt::format("the hidden state is of {}; expected float32, bfloat16 or float16",
                            dtype_name(dtype)));
  }
  return states;
}

size_t bytes_of(int dtype) {
  return dtype == FOREGATE_FLOAT32 ? 4 : 2;
}

void tell_token(SequenceHandle& sequence, int32_t id) {
  const InUse in_use(sequence);
  run([&] { return foregate_sequence_token(sequence.handle.get(), id); });
  ++sequence.tokens;
}

void tell_routing(SequenceHandle& sequence, int32_t layer, nb::handle experts) {
  const std::vector<int32_t> chosen = whole_numbers(experts, "experts");
  const InUse in_use(sequence);
  check(foregate_sequence_routing(sequence.handle.get(), layer, chosen.data(), chosen.size()));
}

void tell_state(SequenceHandle& sequence, int32_t layer, nb::handle hidden) {
  const States states = states_of(hidden);
  const InUse in_use(sequence);
  run([&] {
    return foregate_sequence_state(sequence.handle.get(), layer, states.array.data(), states.dtype,
                                   states.array.size());
  });
}

void reset(SequenceHandle& sequence) {
  const InUse in_use(sequence);
  check(foregate_sequence_reset(sequence.handle.get()));
  sequence.tokens = 0;
}

void tell_tokens(Batch& batch, nb::handle ids) {
  const std::vector<int32_t> told = whole_numbers(ids, "ids");
  if (told.size() != batch.handles.size()) {
    throw_error("UsageError", fmt::format("{} ids for a batch of {} sequences", told.size(),
                                          batch.handles.size()));
  }
  for (const int32_t id : told) {
    if (id < 0) throw_error("UsageError", fmt::format("token id is {}; expected 0 or more", id));
  }
  const InUse in_use(batch);
  run([&] {
    for (size_t i = 0; i < told.size(); ++i) {
      if (const auto status = foregate_sequence_token(batch.handles[i], told[i]);
          status != FOREGATE_OK)
        return status;
      ++batch.sequences[i]->tokens;
    }
    return FOREGATE_OK;
  });
}

void tell_routings(Batch& batch, int32_t layer, nb::handle experts) {
  const std::vector<int32_t> told = whole_numbers(experts, "experts");
  const size_t count = batch.handles.size();
  const auto k = static_cast<size_t>(batch.predictor->info.top_k);
  if (told.size() != count * k) {
    throw_error("UsageError",
                fmt::format("experts holds {} numbers; expected [{}, {}]", told.size(), count, k));
  }
  const InUse in_use(batch);
  for (size_t i = 0; i < count; ++i) {
    check(foregate_sequence_routing(batch.handles[i], layer, told.data() + i * k, k));
  }
}

void tell_states(Batch& batch, int32_t layer, nb::handle hidden) {
  const States states = states_of(hidden);
  const size_t count = batch.handles.size();
  if (states.array.ndim() != 2 || states.array.shape(0) != count) {
    throw_error(
        "UsageError",
        fmt::format("the hidden states of a batch are expected as [{}, hidden size]", count));
  }
  const size_t width = states.array.shape(1);
  const auto* bytes = static_cast<const std::byte*>(states.array.data());
  const InUse in_use(batch);
  run([&] {
    for (size_t i = 0; i < count; ++i) {
      const void* row = bytes + i * width * bytes_of(states.dtype);
      const auto status =
          foregate_sequence_state(batch.handles[i], layer, row, states.dtype, width);
      if (status != FOREGATE_OK) return status;
    }
    return FOREGATE_OK;
  });
}

/// Calls predict(Called) for a sequence.
template <typename Predict>
auto of_sequence(SequenceHandle& sequence, const Predict& predict) {
  const InUse in_use(sequence);
  foregate_sequence* handle = sequence.handle.get();
  return predict(Called{&handle, 1, false, sequence.predictor->info});
}

template <typename Predict>
auto of_batch(Batch& batch, const Predict& predict) {
  const InUse in_use(batch);
  return predict(Called{batch.handles.data(), batch.handles.size(), true, batch.predictor->info});
}

constexpr const char* kScores =
    "Scores of every expert of MoE layer `layer` for the current token, float32 [E], of a batch "
    "[sequences, E]; the "
    "higher the likelier. They rank experts and are no probabilities. `out` is filled and returned "
    "if it is given.";
constexpr const char* kProbabilities =
    "How probable it is that each expert will be among the k chosen, float32 [E], of a batch "
    "[sequences, E]. Raises "
    "UnsupportedError if the directory holds no calibration (`info.has_probabilities`).";
constexpr const char* kBest =
    "The `m` likeliest experts (k of them if it is not given), likeliest first, ties by lowest "
    "index: int32 [m], of a "
    "batch [sequences, m]. `out` is filled and returned if it is given.";
constexpr const char* kState =
    "The current token's hidden state at MoE layer `layer`, [H] of float32, bfloat16 or float16 on "
    "the CPU (of a batch "
    "[sequences, H]): the router's input for lead layer-H, the residual stream that enters the "
    "layer for pre-attention.";
constexpr const char* kRouting =
    "What the current token's router decided at MoE layer `layer`: k whole numbers, largest gate "
    "weight first (of a "
    "batch [sequences, k]). Once a token and layer.";

void bind_info(nb::module_& module) {
  using Info = foregate_predictor_info;
  nb::class_<Info>(module, "PredictorInfo", "What a predictor is and what it needs.")
      .def_prop_ro("name", [](const Info& info) { return std::string(info.name); })
      .def_prop_ro("lead", [](const Info& info) { return std::string(info.lead); })
      .def_prop_ro("model", [](const Info& info) { return std::string(info.model); })
      .def_ro("num_moe_layers", &Info::num_moe_layers)
      .def_ro("num_experts", &Info::num_experts)
      .def_ro("top_k", &Info::top_k)
      .def_ro("hidden_size", &Info::hidden_size, "0 if unknown")
      .def_ro("vocab_size", &Info::vocab_size, "0 if unknown")
      .def_ro("first_layer", &Info::first_layer, "the first MoE layer that can be predicted")
      .def_prop_ro("needs_token", [](const Info& info) { return info.needs_token != 0; })
      .def_prop_ro("needs_routing", [](const Info& info) { return info.needs_routing != 0; })
      .def_prop_ro("needs_state", [](const Info& info) { return info.needs_state != 0; })
      .def_prop_ro("has_probabilities",
                   [](const Info& info) { return info.has_probabilities != 0; })
      .def_ro("weight_bytes", &Info::weight_bytes, "of weights.safetensors, mapped into memory");
}

void bind_sequence(nb::module_& module) {
  nb::class_<SequenceHandle>(module, "Sequence",
                             "A text that is being decoded, as a predictor sees it. One thread at "
                             "a time may use it; another one is refused "
                             "with UsageError. A call that fails leaves it as it was.")
      .def("__len__", [](const SequenceHandle& sequence) { return sequence.tokens; })
      .def("token", tell_token, nb::arg("id"),
           "Begins the next token: what is told and asked from here on is of it.")
      .def("routing", tell_routing, nb::arg("layer"), nb::arg("experts"), kRouting)
      .def("state", tell_state, nb::arg("layer"), nb::arg("hidden"), kState)
      .def("reset", reset, "Back to a sequence without tokens, for the next text.")
      .def(
          "scores",
          [](SequenceHandle& sequence, int32_t layer, std::optional<Scores> out) {
            return of_sequence(sequence, [&](const Called& called) {
              return scores(called, layer, std::move(out));
            });
          },
          nb::arg("layer"), nb::kw_only(), nb::arg("out").noconvert() = nb::none(), kScores)
      .def(
          "probabilities",
          [](SequenceHandle& sequence, int32_t layer, std::optional<Scores> out) {
            return of_sequence(sequence, [&](const Called& called) {
              return probabilities(called, layer, std::move(out));
            });
          },
          nb::arg("layer"), nb::kw_only(), nb::arg("out").noconvert() = nb::none(), kProbabilities)
      .def(
          "best",
          [](SequenceHandle& sequence, int32_t layer, std::optional<int64_t> m,
             std::optional<Experts> out) {
            return of_sequence(sequence, [&](const Called& called) {
              return best(called, layer, m, std::move(out));
            });
          },
          nb::arg("layer"), nb::arg("m") = nb::none(), nb::kw_only(),
          nb::arg("out").noconvert() = nb::none(), kBest)
      .def(
          "at_least",
          [](SequenceHandle& sequence, int32_t layer, float threshold) {
            return of_sequence(sequence, [&](const Called& called) {
              return nb::cast<Experts>(at_least(called, layer, threshold)[0]);
            });
          },
          nb::arg("layer"), nb::arg("threshold"),
          "The experts that are at least so probable, likeliest first: int32, few where the "
          "predictor is sure.");
}

void bind_batch(nb::module_& module) {
  nb::class_<Batch>(
      module, "Batch",
      "Several sequences of one predictor, asked with one call a layer. If a call that tells them "
      "something fails, those before the one that is named have been told.")
      .def("__len__", [](const Batch& batch) { return batch.handles.size(); })
      .def("token", tell_tokens, nb::arg("ids"),
           "The next token of each sequence: whole numbers [sequences].")
      .def("routing", tell_routings, nb::arg("layer"), nb::arg("experts"), kRouting)
      .def("state", tell_states, nb::arg("layer"), nb::arg("hidden"), kState)
      .def(
          "scores",
          [](Batch& batch, int32_t layer, std::optional<Scores> out) {
            return of_batch(
                batch, [&](const Called& called) { return scores(called, layer, std::move(out)); });
          },
          nb::arg("layer"), nb::kw_only(), nb::arg("out").noconvert() = nb::none(), kScores)
      .def(
          "probabilities",
          [](Batch& batch, int32_t layer, std::optional<Scores> out) {
            return of_batch(batch, [&](const Called& called) {
              return probabilities(called, layer, std::move(out));
            });
          },
          nb::arg("layer"), nb::kw_only(), nb::arg("out").noconvert() = nb::none(), kProbabilities)
      .def(
          "best",
          [](Batch& batch, int32_t layer, std::optional<int64_t> m, std::optional<Experts> out) {
            return of_batch(batch, [&](const Called& called) {
              return best(called, layer, m, std::move(out));
            });
          },
          nb::arg("layer"), nb::arg("m") = nb::none(), nb::kw_only(),
          nb::arg("out").noconvert() = nb::none(), kBest)
      .def(
          "at_least",
          [](Batch& batch, int32_t layer, float threshold) {
            return of_batch(
                batch, [&](const Called& called) { return at_least(called, layer, threshold); });
          },
          nb::arg("layer"), nb::arg("threshold"),
          nb::sig("def at_least(self, layer: int, threshold: float) -> list[numpy.ndarray]"),
          "The experts of each sequence that are at least so probable, likeliest first: a list of "
          "int32 arrays.");
}

}  // namespace

void bind_predictor(nb::module_& module) {
  bind_info(module);
  bind_sequence(module);
  bind_batch(module);
  nb::class_<PredictorHandle>(
      module, "Predictor",
      "A trained predictor, to be asked while a model decodes. It never changes: any number of "
      "threads may use it, and predictions run without the GIL.")
      .def_static("load", load, nb::arg("directory"),
                  nb::sig("def load(directory: str | os.PathLike[str]) -> Predictor"),
                  "Reads a predictor directory (`foregate train` writes them) and checks all of "
                  "it. Its files are mapped and "
                  "must not change meanwhile. Raises NotFoundError, DataError or UnsupportedError.")
      .def_prop_ro(
          "info", [](const PredictorHandle& predictor) { return predictor.info; },
          nb::keep_alive<0, 1>())
      .def("moe_layer", moe_layer, nb::arg("decoder_layer"),
           "The MoE layer that a decoder layer is, counted from 0; None if it is a dense one.")
      .def("sequence", make_sequence,
           "A sequence without tokens: one for each text that is decoded.")
      .def("batch", make_batch, nb::arg("sequences"), "These sequences as one batch.")
      .def("__repr__", [](const PredictorHandle& predictor) {
        const auto& info = predictor.info;
        return fmt::format("Predictor({} at {}, {} MoE layers, {} experts, top-{})", info.name,
                           info.lead, info.num_moe_layers, info.num_experts, info.top_k);
      });
}

}  // namespace foregate::python
