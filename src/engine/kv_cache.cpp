#include "engine/kv_cache.h"

#include <c10/core/InferenceMode.h>
#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "base/number_text.h"
#include "engine/out_of_memory.h"
#include "tensor/device/transfer.h"

namespace foregate::engine {
namespace {

uint64_t next_number() {
  static std::atomic<uint64_t> number{0};
  return number++;
}

KvLayout layout_of(const models::GroupedQueryConfig& attention) {
  return {.kv_heads = attention.num_kv_heads,
          .key_dim = attention.head_dim,
          .value_dim = attention.head_dim};
}

KvLayout layout_of(const models::LatentConfig& attention) {
  return {.kv_heads = 1, .key_dim = attention.latent_size(), .value_dim = 0};
}

}  // namespace

KvLayout kv_layout(const models::ModelConfig& config) {
  KvLayout layout = std::visit([](const auto& kind) { return layout_of(kind); }, config.attention);
  layout.layers = config.num_layers;
  return layout;
}

int64_t bytes_per_token(const KvLayout& layout, torch::ScalarType dtype) {
  const auto row = [&](int64_t size) {
    if (size == 0) return int64_t{0};
    const auto scale = dtype == torch::kInt8 ? static_cast<int64_t>(sizeof(float)) : 0;
    return size * static_cast<int64_t>(c10::elementSize(dtype)) + scale;
  };
  return layout.layers * layout.kv_heads * (row(layout.key_dim) + row(layout.value_dim));
}

KvCache::KvCache(const KvLayout& layout, int64_t budget, torch::Device device,
                 torch::ScalarType dtype, int64_t page_tokens)
    : number_(next_number()),
      page_tokens_(page_tokens),
      page_bytes_(page_tokens * bytes_per_token(layout, dtype)),
      device_(device) {
  TORCH_CHECK(page_tokens > 0 && page_bytes_ > 0, "kv cache: an empty page");
  const int64_t pages = budget / page_bytes_;
  if (pages < 1) {
    throw UsageError(fmt::format(
        "{} for keys and values do not hold one page of {} tokens, which takes {}; give it more",
        human_bytes(static_cast<uint64_t>(std::max<int64_t>(budget, 0))), page_tokens,
        human_bytes(static_cast<uint64_t>(page_bytes_))));
  }
  const c10::InferenceMode guard;
  report_out_of_memory(
      device, fmt::format("keys and values of {} tokens", pages * page_tokens), [&] {
        const auto options = torch::TensorOptions().dtype(dtype).device(device);
        for (int64_t layer = 0; layer < layout.layers; ++layer) {
          const auto rows = [&](int64_t size) {
            return torch::empty({pages, page_tokens, layout.kv_heads, size}, options);
          };
          const auto scales = [&](int64_t size) {
            if (dtype != torch::kInt8 || size == 0) return torch::Tensor();
            return torch::empty({pages, page_tokens, layout.kv_heads},
                                options.dtype(torch::kFloat32));
          };
          layers_.push_back({rows(layout.key_dim), rows(layout.value_dim), scales(layout.key_dim),
                             scales(layout.value_dim)});
        }
      });
  users_.assign(pages, 0);
  for (int64_t page = pages; page > 0; --page) free_.push_back(static_cast<int32_t>(page - 1));
}

const KvCache::Entry& KvCache::at(Sequence sequence) const {
  TORCH_CHECK(sequence >= 0 && static_cast<size_t>(sequence) < sequences_.size() &&
                  sequences_[sequence].open,
              "kv cache: sequence ", sequence, " is not open");
  return sequences_[sequence];
}

KvCache::Entry& KvCache::at(Sequence sequence) {
  return const_cast<Entry&>(std::as_const(*this).at(sequence));
}

KvCache::Sequence KvCache::open() {
  if (closed_.empty()) {
    sequences_.emplace_back();
    closed_.push_back(static_cast<Sequence>(sequences_.size() - 1));
  }
  const Sequence sequence = closed_.back();
  closed_.pop_back();
  sequences_[sequence] = {.open = true, .length = 0, .pages = {}};
  return sequence;
}

KvCache::Sequence KvCache::fork(Sequence parent) {
  const Entry& source = at(parent);
  for (const int32_t page : source.pages) ++users_[page];
  Entry copy = source;
  const Sequence child = open();
  sequences_[child] = std::move(copy);
  return child;
}

void KvCache::close(Sequence sequence) {
  truncate(sequence, 0);
  at(sequence).open = false;
  closed_.push_back(sequence);
}

bool KvCache::copies_last_page(const Entry& entry, int64_t tokens) const {
  return tokens > 0 && entry.length % page_tokens_ != 0 && users_[entry.pages.back()] > 1;
}

int64_t KvCache::pages_to_extend(Sequence sequence, int64_t tokens) const {
  const Entry& entry = at(sequence);
  return pages_for(entry.length + tokens) - static_cast<int64_t>(entry.pages.size()) +
         (copies_last_page(entry, tokens) ? 1 : 0);
}

void KvCache::extend(Sequence sequence, int64_t tokens) {
  TORCH_CHECK(tokens >= 0, "kv cache: extended by ", tokens, " tokens");
  const int64_t needed = pages_to_extend(sequence, tokens);
  if (needed > free_pages()) {
    throw OutOfMemoryError(fmt::format(
        "{} more tokens need {} pages of keys and values, and {} of {} are free; give them more "
        "memory or run fewer sequences at once",
        tokens, needed, free_pages(), num_pages()));
  }
  Entry& entry = at(sequence);
  if (copies_last_page(entry, tokens)) {
    const int32_t shared = entry.pages.back();
    entry.pages.back() = take_page();
    copy_page(shared, entry.pages.back());
    release_page(shared);
  }
  entry.length += tokens;
  while (static_cast<int64_t>(entry.pages.size()) < pages_for(entry.length)) {
    entry.pages.push_back(take_page());
  }
}

void KvCache::truncate(Sequence sequence, int64_t length) {
  Entry& entry = at(sequence);
  TORCH_CHECK(length >= 0 && length <= entry.length, "kv cache: ", entry.length, " tokens cut to ",
              length);
  entry.length = length;
  while (static_cast<int64_t>(entry.pages.size()) > pages_for(length)) {
    release_page(entry.pages.back());
    entry.pages.pop_back();
  }
}

int32_t KvCache::take_page() {
  const int32_t page = free_.back();
  free_.pop_back();
  users_[page] = 1;
  return page;
}

void KvCache::release_page(int32_t page) {
  if (--users_[page] == 0) free_.push_back(page);
}

void KvCache::copy_page(int32_t from, int32_t to) {
  const c10::InferenceMode guard;
  for (const nn::PagedKv& layer : layers_) {
    for (const torch::Tensor& pages :
         {layer.keys, layer.values, layer.key_scales, layer.value_scales}) {
      if (pages.defined()) pages[to].copy_(pages[from]);
    }
  }
}

void KvCache::write_pages(std::span<const Sequence> sequences, const torch::Tensor& table) const {
  auto* row = table.mutable_data_ptr<int32_t>();
  for (const Sequence sequence : sequences) {
    const Entry& entry = at(sequence);
    TORCH_CHECK(static_cast<int64_t>(entry.pages.size()) <= table.size(1),
                "kv cache: ", entry.pages.size(), " pages in a table of ", table.size(1));
    std::ranges::copy(entry.pages, row);
    row += table.size(1);
  }
}

nn::SequencePages KvCache::pages_of(std::span<const Sequence> sequences,
                                    std::span<const int64_t> tokens) const {
  TORCH_CHECK(sequences.size() == tokens.size(), "kv cache: ", sequences.size(), " sequences, ",
              tokens.size(), " counts");
  nn::SequencePages where;
  size_t most = 1;
  int64_t fresh = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Entry& entry = at(sequences[i]);
    TORCH_CHECK(tokens[i] >= 0 && tokens[i] <= entry.length, "kv cache: ", tokens[i],
                " new tokens of ", entry.length);
    where.lengths.push_back(entry.length);
    most = std::max(most, entry.pages.size());
    fresh += tokens[i];
  }
  const torch::Tensor pages = torch::zeros(
      {static_cast<int64_t>(sequences.size()), static_cast<int64_t>(most)}, torch::kInt32);
  write_pages(sequences, pages);
  torch::Tensor slots = torch::empty({fresh}, torch::kInt64);
  const auto* table = pages.const_data_ptr<int32_t>();
  auto* slot = slots.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < sequences.size(); ++i, table += most) {
    const Entry& entry = at(sequences[i]);
    for (int64_t token = entry.length - tokens[i]; token < entry.length; ++token) {
      *slot++ = table[token / page_tokens_] * page_tokens_ + token % page_tokens_;
    }
  }
  where.pages = tensor::to_device(pages, device_);
  where.slots = tensor::to_device(slots, device_);
  return where;
}

}  // namespace foregate::engine
