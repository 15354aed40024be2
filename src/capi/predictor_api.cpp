// The functions of foregate/predictor.h: arguments are checked, errors become codes. What they do
// lies in the other files of this folder.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <vector>

#include "foregate/predictor.h"
#include "scoring/error.h"
#include "scoring/predictor_file.h"
#include "scoring/probabilities.h"
#include "scoring/ranking.h"

namespace scoring = foregate::scoring;
using foregate::UsageError;

struct foregate_predictor {
  // Shared with its sequences.
  std::shared_ptr<const scoring::LoadedPredictor> loaded;
};

struct foregate_sequence {
  std::shared_ptr<const scoring::LoadedPredictor> loaded;
  scoring::Sequence sequence;
};

namespace {

// No future foregate_predictor_info is larger: a struct_size that was not set does harm no further.
constexpr size_t kLargestInfo = 4096;

std::string& last_error() {
  thread_local std::string message;
  return message;
}

foregate_status fail(foregate_status status, const char* message) noexcept {
  try {
    last_error() = message;
  } catch (...) {
    last_error().clear();  // no memory for the message; the code still tells
  }
  return status;
}

/// Runs `work`; no exception gets past a function that C calls.
template <typename Work>
foregate_status guarded(const Work& work) noexcept {
  try {
    work();
    return FOREGATE_OK;
  } catch (const foregate::UsageError& error) {
    return fail(FOREGATE_INVALID_ARGUMENT, error.what());
  } catch (const scoring::NotObservedError& error) {
    return fail(FOREGATE_NOT_OBSERVED, error.what());
  } catch (const scoring::UnsupportedError& error) {
    return fail(FOREGATE_UNSUPPORTED, error.what());
  } catch (const foregate::DataError& error) {
    return fail(FOREGATE_BAD_DATA, error.what());
  } catch (const foregate::EnvironmentError& error) {
    return fail(FOREGATE_NOT_FOUND, error.what());
  } catch (const std::bad_alloc&) {
    return fail(FOREGATE_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(FOREGATE_INTERNAL, error.what());
  } catch (...) {
    return fail(FOREGATE_INTERNAL, "unknown error");
  }
}

template <typename Pointer>
void require(Pointer* pointer, const char* name) {
  if (pointer == nullptr) throw UsageError(fmt::format("{} is a null pointer", name));
}

scoring::StateDtype state_dtype(int dtype) {
  using scoring::StateDtype;
  switch (dtype) {
    case FOREGATE_FLOAT32:
      return scoring::StateDtype::kFloat32;
    case FOREGATE_BFLOAT16:
      return scoring::StateDtype::kBfloat16;
    case FOREGATE_FLOAT16:
      return scoring::StateDtype::kFloat16;
  }
  throw UsageError(fmt::format("dtype is {}; expected a foregate_dtype", dtype));
}

/// Scores of a batch. -> [count][E]
std::vector<float> scores_of(foregate_sequence* const* sequences, size_t count, int32_t layer) {
  require(sequences, "sequences");
  std::vector<const scoring::Sequence*> batch;
  batch.reserve(count);
  const scoring::Scorer* scorer = nullptr;
  for (size_t i = 0; i < count; ++i) {
    require(sequences[i], "a sequence");
    const scoring::Scorer* own = sequences[i]->loaded->scorer.get();
    if (scorer != nullptr && own != scorer) {
      throw UsageError(fmt::format("sequence {} of the batch belongs to another predictor", i));
    }
    scorer = own;
    batch.push_back(&sequences[i]->sequence);
    if (batch.back()->history.num_tokens() > 0) continue;
    throw scoring::NotObservedError(fmt::format("sequence {} of the batch has no token yet", i));
  }
  if (scorer == nullptr) return {};
  if (layer < scorer->first_layer() || layer >= scorer->num_layers()) {
    throw UsageError(fmt::format("layer is {}; this predictor predicts MoE layers {} to {}", layer,
                                 scorer->first_layer(), scorer->num_layers() - 1));
  }
  std::vector<float> scores(count * static_cast<size_t>(scorer->num_experts()));
  scorer->score(batch, layer, scores.data());
  return scores;
}

/// Probabilities of a batch. -> [count][E]
std::vector<float> probabilities_of(foregate_sequence* const* sequences, size_t count,
                                    int32_t layer) {
  std::vector<float> values = scores_of(sequences, count, layer);
  if (count == 0) return values;
  const scoring::LoadedPredictor& loaded = *sequences[0]->loaded;
  if (!loaded.calibration) {
    throw scoring::UnsupportedError(
        "this predictor gives scores only: its predictor.json holds no calibration, because an "
        "older foregate wrote it or there were no validation texts; train it again");
  }
  const size_t width = values.size() / count;
  for (size_t i = 0; i < count; ++i) {
    scoring::to_probabilities(*loaded.calibration, std::span(values).subspan(i * width, width));
  }
  return values;
}

}  // namespace

int foregate_predictor_api_version(void) {
  return FOREGATE_PREDICTOR_API_VERSION;
}

const char* foregate_last_error(void) {
  return last_error().c_str();
}

const char* foregate_status_name(int status) {
  switch (status) {
    case FOREGATE_OK:
      return "FOREGATE_OK";
    case FOREGATE_INVALID_ARGUMENT:
      return "FOREGATE_INVALID_ARGUMENT";
    case FOREGATE_NOT_FOUND:
      return "FOREGATE_NOT_FOUND";
    case FOREGATE_BAD_DATA:
      return "FOREGATE_BAD_DATA";
    case FOREGATE_UNSUPPORTED:
      return "FOREGATE_UNSUPPORTED";
    case FOREGATE_NOT_OBSERVED:
      return "FOREGATE_NOT_OBSERVED";
    case FOREGATE_OUT_OF_MEMORY:
      return "FOREGATE_OUT_OF_MEMORY";
    case FOREGATE_INTERNAL:
      return "FOREGATE_INTERNAL";
  }
  return "unknown status";
}

foregate_status foregate_predictor_load(const char* directory, foregate_predictor** predictor) {
  return guarded([&] {
    require(directory, "directory");
    require(predictor, "predictor");
    auto loaded =
        std::make_shared<const scoring::LoadedPredictor>(scoring::load_predictor(directory));
    *predictor = new foregate_predictor{std::move(loaded)};
  });
}

void foregate_predictor_free(foregate_predictor* predictor) {
  delete predictor;
}

foregate_status foregate_predictor_get_info(const foregate_predictor* predictor,
                                            foregate_predictor_info* info) {
  return guarded([&] {
    require(predictor, "predictor");
    require(info, "info");
    const size_t size = info->struct_size;
    if (size < sizeof(size) || size > kLargestInfo) {
      throw UsageError(
          fmt::format("info->struct_size is {}; set it to sizeof(foregate_predictor_info)", size));
    }
    const scoring::LoadedPredictor& loaded = *predictor->loaded;
    const foregate::trace::Geometry& geometry = loaded.scorer->geometry();
    const scoring::Needs needs = loaded.scorer->needs();
    foregate_predictor_info all{};
    all.struct_size = size;
    all.name = loaded.scorer->identity().name.c_str();
    all.lead = loaded.lead.c_str();
    all.model = loaded.model.c_str();
    all.num_moe_layers = geometry.num_moe_layers;
    all.num_experts = geometry.num_experts;
    all.top_k = geometry.top_k;
    all.hidden_size = geometry.hidden_size;
    all.vocab_size = geometry.vocab_size;
    all.first_layer = static_cast<int32_t>(loaded.scorer->first_layer());
    all.needs_token = needs.token ? 1 : 0;
    all.needs_routing = needs.routing ? 1 : 0;
    all.needs_state = needs.state ? 1 : 0;
    all.weight_bytes = loaded.weights->bytes();
    all.has_probabilities = loaded.calibration ? 1 : 0;
    // An older caller's struct is shorter; of a newer one's the rest is zeros.
    std::memset(info, 0, size);
    std::memcpy(info, &all, std::min(size, sizeof(all)));
  });
}

foregate_status foregate_predictor_moe_layer(const foregate_predictor* predictor,
                                             int32_t decoder_layer, int32_t* moe_layer) {
  return guarded([&] {
    require(predictor, "predictor");
    require(moe_layer, "moe_layer");
    if (decoder_layer < 0) {
      throw UsageError(fmt::format("decoder_layer is {}; expected 0 or more", decoder_layer));
    }
    const std::vector<int>& layers = predictor->loaded->scorer->geometry().moe_layers;
    const auto found = std::find(layers.begin(), layers.end(), decoder_layer);
    *moe_layer = found == layers.end() ? -1 : static_cast<int32_t>(found - layers.begin());
  });
}

foregate_status foregate_sequence_create(const foregate_predictor* predictor,
                                         foregate_sequence** sequence) {
  return guarded([&] {
    require(predictor, "predictor");
    require(sequence, "sequence");
    *sequence =
        new foregate_sequence{predictor->loaded, scoring::Sequence(*predictor->loaded->scorer)};
  });
}

void foregate_sequence_free(foregate_sequence* sequence) {
  delete sequence;
}

foregate_status foregate_sequence_reset(foregate_sequence* sequence) {
  return guarded([&] {
    require(sequence, "sequence");
    sequence->sequence.reset();
  });
}

foregate_status foregate_sequence_token(foregate_sequence* sequence, int32_t token_id) {
  return guarded([&] {
    require(sequence, "sequence");
    sequence->sequence.begin_token(token_id);
  });
}

foregate_status foregate_sequence_routing(foregate_sequence* sequence, int32_t layer,
                                          const int32_t* experts, size_t count) {
  return guarded([&] {
    require(sequence, "sequence");
    require(experts, "experts");
    sequence->sequence.history.set_routing(layer, {experts, count});
  });
}

foregate_status foregate_sequence_state(foregate_sequence* sequence, int32_t layer,
                                        const void* values, int dtype, size_t size) {
  return guarded([&] {
    require(sequence, "sequence");
    require(values, "values");
    sequence->sequence.history.set_state(layer, values, state_dtype(dtype), size);
  });
}

foregate_status foregate_predict_scores(foregate_sequence* const* sequences, size_t count,
                                        int32_t layer, float* scores) {
  return guarded([&] {
    require(scores, "scores");
    const std::vector<float> all = scores_of(sequences, count, layer);
    std::copy(all.begin(), all.end(), scores);
  });
}

foregate_status foregate_predict_best(foregate_sequence* const* sequences, size_t count,
                                      int32_t layer, size_t m, int32_t* experts) {
  return guarded([&] {
    require(experts, "experts");
    const std::vector<float> scores = scores_of(sequences, count, layer);
    const size_t width = count == 0 ? m : scores.size() / count;
    if (m < 1 || m > width) {
      throw UsageError(fmt::format("m is {}; expected 1 to the model's {} experts", m, width));
    }
    std::vector<int32_t> order(width);
    for (size_t i = 0; i < count; ++i) {
      scoring::best_experts(std::span(scores).subspan(i * width, width), m, order, experts + i * m);
    }
  });
}

foregate_status foregate_predict_probabilities(foregate_sequence* const* sequences, size_t count,
                                               int32_t layer, float* probabilities) {
  return guarded([&] {
    require(probabilities, "probabilities");
    const std::vector<float> all = probabilities_of(sequences, count, layer);
    std::copy(all.begin(), all.end(), probabilities);
  });
}

foregate_status foregate_predict_at_least(foregate_sequence* const* sequences, size_t count,
                                          int32_t layer, float threshold, int32_t* experts,
                                          size_t* found) {
  return guarded([&] {
    require(experts, "experts");
    require(found, "found");
    if (!(threshold >= 0 && threshold <= 1)) {
      throw UsageError(fmt::format("threshold is {}; expected a probability, 0 to 1", threshold));
    }
    const std::vector<float> all = probabilities_of(sequences, count, layer);
    const size_t width = count == 0 ? 0 : all.size() / count;
    std::vector<int32_t> order(width);
    for (size_t i = 0; i < count; ++i) {
      const auto row = std::span(all).subspan(i * width, width);
      found[i] = static_cast<size_t>(
          std::count_if(row.begin(), row.end(), [&](float p) { return p >= threshold; }));
      scoring::best_experts(row, found[i], order, experts + i * width);
    }
  });
}
