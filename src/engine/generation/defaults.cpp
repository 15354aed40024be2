#include "engine/generation/defaults.h"

#include <fmt/core.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/containers/gguf_header.h"
#include "base/json.h"
#include "models/model_files.h"

namespace foregate::engine {
namespace {

constexpr double kLargest = 1e9;
constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max();

// Settings that would change the text, and the value with which they do not; null always does not.
struct NotImplemented {
  const char* key;
  double neutral;
};
constexpr std::array<NotImplemented, 13> kNotImplemented{{{"num_beams", 1},
                                                          {"num_beam_groups", 1},
                                                          {"penalty_alpha", 0},
                                                          {"typical_p", 1},
                                                          {"epsilon_cutoff", 0},
                                                          {"eta_cutoff", 0},
                                                          {"diversity_penalty", 0},
                                                          {"no_repeat_ngram_size", 0},
                                                          {"encoder_repetition_penalty", 1},
                                                          {"encoder_no_repeat_ngram_size", 0},
                                                          {"min_length", 0},
                                                          {"min_new_tokens", 0},
                                                          {"guidance_scale", 1}}};
constexpr std::array<const char*, 7> kNotImplementedLists{
    "bad_words_ids",         "force_words_ids",     "sequence_bias",      "suppress_tokens",
    "begin_suppress_tokens", "forced_bos_token_id", "forced_eos_token_id"};

void read_eos(const JsonReader& reader, std::vector<int32_t>& ids) {
  constexpr const char* kKey = "eos_token_id";
  if (!reader.has(kKey)) return;
  ids.clear();
  if (!reader.at(kKey).is_array()) {
    ids.push_back(static_cast<int32_t>(reader.integer(kKey, 0, kMaxId)));
    return;
  }
  for (const int64_t id : reader.integers(kKey)) {
    if (id < 0 || id > kMaxId) reader.fail(kKey, "ids of tokens");
    ids.push_back(static_cast<int32_t>(id));
  }
}

void read_sampling(const JsonReader& reader, SamplingSettings& sampling) {
  if (reader.boolean("do_sample", false)) {
    sampling.temperature = reader.number("temperature", 0, kLargest, 1);
    sampling.top_k = reader.integer("top_k", 0, kMaxId, 0);
    sampling.top_p = reader.number("top_p", 0, 1, 1);
    sampling.min_p = reader.number("min_p", 0, 1, 0);
    if (sampling.top_p == 0) sampling.temperature = 0;  // the likeliest token alone
    if (sampling.top_p == 0) sampling.top_p = 1;
  }
  sampling.repetition_penalty = reader.number("repetition_penalty", 0, kLargest, 1);
  if (sampling.repetition_penalty == 0) reader.fail("repetition_penalty", "more than 0");
}

void read_not_implemented(const JsonReader& reader, std::vector<std::string>& passed_over) {
  for (const auto& [key, neutral] : kNotImplemented) {
    if (!reader.has(key)) continue;
    const Json& value = reader.at(key);
    if (value.is_number() && value.get<double>() == neutral) continue;
    passed_over.push_back(fmt::format("{} {}", key, value.dump()));
  }
  for (const char* key : kNotImplementedLists) {
    if (reader.has(key)) passed_over.emplace_back(key);
  }
}

}  // namespace

GenerationDefaults read_generation_defaults(const std::filesystem::path& model) {
  GenerationDefaults defaults;
  if (is_gguf_file(model) || std::filesystem::exists(model / "config.json")) {
    const models::ConfigDocument config = models::read_config(model);
    read_eos(config.reader(), defaults.eos_ids);
  }
  const std::filesystem::path path = model / "generation_config.json";
  if (!std::filesystem::exists(path)) return defaults;
  const Json json = read_json(path);
  const JsonReader reader(json, path.string());
  read_eos(reader, defaults.eos_ids);
  read_sampling(reader, defaults.sampling);
  if (reader.has("max_new_tokens")) {
    defaults.max_tokens = reader.integer("max_new_tokens", 1, kMaxId);
  }
  read_not_implemented(reader, defaults.passed_over);
  return defaults;
}

}  // namespace foregate::engine
