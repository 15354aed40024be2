#include "models/gguf/gguf_latent.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace foregate::models {
namespace {

constexpr const char* kWholeLatent = "attn_kv_b.weight";
constexpr const char* kKeyHalf = "attn_k_b.weight";
constexpr const char* kValueHalf = "attn_v_b.weight";

std::string name_in_layer(int64_t layer, const char* name) {
  return fmt::format("blk.{}.{}", layer, name);
}

/// The heads that rows [first, first + count) are of.
struct HeadRange {
  int64_t first;
  int64_t count;
};

HeadRange head_range(int64_t first, int64_t count, int64_t rows_per_head) {
  const int64_t begin = first / rows_per_head;
  return {begin, (first + count + rows_per_head - 1) / rows_per_head - begin};
}

}  // namespace

GgufLatentExpansions::GgufLatentExpansions(const GgufModel& model, const ModelConfig& config,
                                           const LatentConfig& attention)
    : path_(model.path()), rows_per_head_(attention.nope_dim + attention.value_dim) {
  const std::string& pattern = config.spellings.front().latent_expand;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    if (model.find(name_in_layer(layer, kWholeLatent)) != nullptr) continue;
    Halves halves{find_half(model, layer, kKeyHalf,
                            {attention.num_heads, attention.kv_rank, attention.nope_dim}),
                  find_half(model, layer, kValueHalf,
                            {attention.num_heads, attention.value_dim, attention.kv_rank})};
    // That both are missing is said where all that is missing is listed.
    if (halves.key.file == nullptr && halves.value.file == nullptr) continue;
    if (halves.key.file == nullptr || halves.value.file == nullptr) {
      throw DataError(fmt::format(
          "{}: layer {} has {} alone of {} and {}; the file is broken", path_.string(), layer,
          halves.key.file == nullptr ? kValueHalf : kKeyHalf, kKeyHalf, kValueHalf));
    }
    add_entry({.name = weight_name(pattern, layer),
               .shape = {attention.num_heads * rows_per_head_, attention.kv_rank}});
    halves_.push_back(std::move(halves));
  }
}

GgufLatentExpansions::Half GgufLatentExpansions::find_half(
    const GgufModel& model, int64_t layer, const char* name,
    const std::vector<int64_t>& shape) const {
  const std::string stored = name_in_layer(layer, name);
  for (const auto& file : model.files()) {
    const tensor::TensorEntry* entry = file->find(stored);
    if (entry == nullptr) continue;
    if (entry->shape != shape) {
      throw DataError(fmt::format("{}: tensor \"{}\" is [{}], expected [{}]", file->path().string(),
                                  stored, fmt::join(entry->shape, ", "), fmt::join(shape, ", ")));
    }
    return {file, stored};
  }
  return {};
}

torch::Tensor GgufLatentExpansions::tensor(std::string_view name) const {
  return rows(name, 0, entries()[number_of(name)].shape[0]);
}

torch::Tensor GgufLatentExpansions::rows(std::string_view name, int64_t first,
                                         int64_t count) const {
  const size_t number = number_of(name);
  TORCH_CHECK(first >= 0 && count >= 0 && first <= entries()[number].shape[0] - count, path_,
              ": rows ", first, " + ", count, " of tensor \"", name, "\"");
  const HeadRange heads = head_range(first, count, rows_per_head_);
  const auto read = [&](const Half& half) {
    return half.file->rows(half.name, heads.first, heads.count).to(torch::kFloat32);
  };
  const torch::Tensor keys = read(halves_[number].key).transpose(1, 2);  // [heads, nope, kv rank]
  const torch::Tensor values = read(halves_[number].value);              // [heads, value, kv rank]
  return torch::cat({keys, values}, 1)
      .flatten(0, 1)
      .narrow(0, first - heads.first * rows_per_head_, count);
}

void GgufLatentExpansions::release_rows(std::string_view name, int64_t first, int64_t count) const {
  const std::optional<size_t> number = find_number(name);
  if (!number) return;
  const HeadRange heads = head_range(first, count, rows_per_head_);
  const Halves& halves = halves_[*number];
  for (const Half* half : {&halves.key, &halves.value}) {
    half->file->release_rows(half->name, heads.first, heads.count);
  }
}

void GgufLatentExpansions::release_pages(std::string_view name) const {
  if (const tensor::TensorEntry* entry = find(name)) release_rows(name, 0, entry->shape[0]);
}

}  // namespace foregate::models
