#include "gpu_test.h"
#include "nn/attention/cached_attention.h"

namespace foregate {
namespace {

using testing::expect_close;
using testing::gpu;

class PagedAttentionOnGpu : public testing::GpuTest {};

// Sequences of some lengths in pages out of order; the last tokens of each are new.
struct Case {
  nn::AttentionShape shape;
  std::vector<int64_t> lengths;
  std::vector<int64_t> fresh;
  int64_t page_tokens;
  int64_t window;
};

TEST_P(PagedAttentionOnGpu, MatchesTheCpu) {
  const std::vector<Case> cases = {
      {{16, 16, 128}, {700}, {1}, 64, 0},  // one sequence, in parts
      {{8, 2, 64}, {1, 64, 65, 300}, {1, 1, 1, 1}, 64, 0},
      {{12, 4, 64}, {130, 90}, {1, 1}, 32, 50},         // a window
      {{4, 1, 128}, {40, 200, 33}, {3, 15, 1}, 16, 0},  // several new tokens, and a short prompt
      {{4, 4, 64}, {30, 100, 50}, {30, 40, 1}, 64, 0},  // a whole prompt, and a long part of one
  };
  for (const auto& [shape, lengths, fresh, page_tokens, window] : cases) {
    const auto sequences = static_cast<int64_t>(lengths.size());
    const int64_t longest = *std::ranges::max_element(lengths);
    const int64_t most = (longest + page_tokens - 1) / page_tokens;
    const torch::Tensor order = torch::randperm(sequences * most + 3, torch::kInt64);
    nn::SequencePages where;
    where.lengths = lengths;
    where.pages = order.narrow(0, 0, sequences * most).view({sequences, most}).to(torch::kInt32);
    std::vector<int64_t> slots;
    std::vector<int32_t> bounds = {0};
    for (int64_t s = 0; s < sequences; ++s) {
      for (int64_t token = lengths[s] - fresh[s]; token < lengths[s]; ++token) {
        slots.push_back(where.pages[s][token / page_tokens].item<int64_t>() * page_tokens +
                        token % page_tokens);
      }
      bounds.push_back(bounds.back() + static_cast<int32_t>(fresh[s]));
    }
    where.slots = torch::tensor(slots);
    const torch::Tensor qkv = random({bounds.back(), shape.qkv_size()});
    const auto rows = [&] {
      return random({order.size(0), page_tokens, shape.num_kv_heads, shape.head_dim});
    };
    nn::PagedKv cache{rows(), rows()};
    nn::PagedKv gpu_cache{gpu(cache.keys), gpu(cache.values)};
    nn::SequencePages gpu_where = where;
    gpu_where.pages = gpu(where.pages);
    gpu_where.slots = gpu(where.slots);
    const nn::LayerAttention layer{.window = window};
    const torch::Tensor expected =
        nn::cached_attention(qkv, {bounds, torch::kCPU}, where, shape, cache, layer);
    const torch::Tensor actual =
        nn::cached_attention(gpu(qkv), {bounds, torch::kCUDA}, gpu_where, shape, gpu_cache, layer);
    expect_close(actual.cpu(), expected.to(torch::kFloat64), 3 * tolerance());
    EXPECT_TRUE(torch::equal(gpu_cache.keys.cpu(), cache.keys));
    EXPECT_TRUE(torch::equal(gpu_cache.values.cpu(), cache.values));
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, PagedAttentionOnGpu,
                         ::testing::Values(torch::kFloat32, torch::kBFloat16, torch::kFloat16));

}  // namespace
}  // namespace foregate
