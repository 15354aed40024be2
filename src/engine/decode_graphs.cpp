#include "engine/decode_graphs.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace foregate::engine {
namespace {

std::vector<int32_t> one_each(size_t sequences) {
  std::vector<int32_t> bounds(sequences + 1);
  std::iota(bounds.begin(), bounds.end(), 0);
  return bounds;
}

}  // namespace

// A step's inputs lie behind each other, so that one copy brings them to the device.
struct DecodeGraphs::Recorded {
  Recorded(size_t sequences, int64_t most_pages, int64_t query_heads, torch::Device device,
           tensor::CudaGraphMemory& memory)
      : bounds(one_each(sequences)),
        texts(bounds, device),
        count(static_cast<int64_t>(sequences)),
        pages(most_pages),
        host(torch::zeros({size()}, torch::dtype(torch::kInt32).pinned_memory(true))),
        inputs(torch::zeros({size()}, torch::dtype(torch::kInt32).device(device))),
        arrived(torch::zeros({count * query_heads}, inputs.options())),
        graph(device, &memory) {}

  // In int32: ids and positions of two each, lengths, pages.
  int64_t size() const { return count * (2 + 2 + 1 + pages); }
  torch::Tensor ids(const torch::Tensor& all) const {
    return all.narrow(0, 0, 2 * count).view(torch::kInt64);
  }
  torch::Tensor positions(const torch::Tensor& all) const {
    return all.narrow(0, 2 * count, 2 * count).view(torch::kInt64);
  }
  torch::Tensor lengths(const torch::Tensor& all) const { return all.narrow(0, 4 * count, count); }
  torch::Tensor table(const torch::Tensor& all) const {
    return all.narrow(0, 5 * count, count * pages).view({count, pages});
  }

  std::vector<int32_t> bounds;
  nn::PackedTexts texts;
  int64_t count;
  int64_t pages;
  torch::Tensor host;    // pinned
  torch::Tensor inputs;  // on the device
  torch::Tensor arrived;
  torch::Tensor logits;
  tensor::CudaGraph graph;
};

DecodeGraphs::DecodeGraphs(const KvCache& cache, int64_t most_tokens, int64_t query_heads,
                           torch::Device device)
    : cache_number_(cache.number()),
      most_tokens_(std::min(most_tokens, cache.num_pages() * cache.page_tokens())),
      most_pages_((most_tokens_ + cache.page_tokens() - 1) / cache.page_tokens()),
      query_heads_(query_heads),
      device_(device),
      memory_(device) {}

DecodeGraphs::~DecodeGraphs() = default;

torch::Tensor DecodeGraphs::run(std::span<const int32_t> token_ids,
                                std::span<const KvCache::Sequence> sequences, KvCache& cache,
                                const Forward& forward) {
  std::unique_ptr<Recorded>& entry = by_sequences_[sequences.size()];
  if (!entry) {
    entry =
        std::make_unique<Recorded>(sequences.size(), most_pages_, query_heads_, device_, memory_);
  }
  Recorded& recorded = *entry;
  auto* ids = recorded.ids(recorded.host).mutable_data_ptr<int64_t>();
  auto* positions = recorded.positions(recorded.host).mutable_data_ptr<int64_t>();
  auto* lengths = recorded.lengths(recorded.host).mutable_data_ptr<int32_t>();
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int64_t length = cache.length(sequences[i]);
    ids[i] = token_ids[i];
    positions[i] = length - 1;
    lengths[i] = static_cast<int32_t>(length);
  }
  cache.write_pages(sequences, recorded.table(recorded.host));
  recorded.inputs.copy_(recorded.host, /*non_blocking=*/true);
  recorded.graph.run([&] {
    DecoderStep step{.token_ids = recorded.ids(recorded.inputs),
                     .positions = recorded.positions(recorded.inputs),
                     .max_position = most_tokens_ - 1,
                     .texts = recorded.texts,
                     .cache = &cache};
    for (const KvCache::Sequence sequence : sequences) {
      step.pages.lengths.push_back(cache.length(sequence));
    }
    step.pages.pages = recorded.table(recorded.inputs);
    step.pages.slots = step.positions;  // nobody asks where one token each goes
    step.pages.lengths_on_device = recorded.lengths(recorded.inputs);
    step.pages.arrived = recorded.arrived;
    recorded.logits = forward(step);
  });
  return recorded.logits;
}

}  // namespace foregate::engine
