#include "nn/cuda/paged_attention.h"

#include <torch/types.h>

#include "kernels/paged_attention.h"
#include "nn/cuda/launch.h"
#include "tensor/device/transfer.h"

namespace foregate::nn {
namespace {

kernels::PagedAttention problem_of(const torch::Tensor& qkv, const torch::Tensor& pages,
                                   const AttentionShape& shape, PagedKv& cache,
                                   const LayerAttention& layer, torch::Tensor& result) {
  return {.qkv = qkv.const_data_ptr(),
          .keys = cache.keys.mutable_data_ptr(),
          .values = cache.values.mutable_data_ptr(),
          .pages = pages.const_data_ptr<int32_t>(),
          .sinks = layer.sinks.defined() ? layer.sinks.const_data_ptr<float>() : nullptr,
          .out = result.mutable_data_ptr(),
          .most_pages = pages.size(1),
          .page_tokens = cache.keys.size(1),
          .heads = shape.num_heads,
          .kv_heads = shape.num_kv_heads,
          .head_dim = shape.head_dim,
          .window = layer.window,
          .scale = static_cast<float>(shape.score_scale())};
}

void run(kernels::PagedAttention problem, const torch::Tensor& qkv, const torch::Tensor& arrived) {
  const auto bytes = torch::dtype(torch::kUInt8).device(qkv.device());
  const torch::Tensor workspace =
      torch::empty({kernels::paged_attention_workspace(problem)}, bytes);
  problem.workspace = workspace.mutable_data_ptr();
  problem.arrived = arrived.mutable_data_ptr<int32_t>();
  on_stream_of(qkv, [&](cudaStream_t stream) {
    return kernels::paged_attention(problem, kernel_dtype(qkv), stream);
  });
}

torch::Tensor no_arrivals(const torch::Tensor& qkv, int64_t queries, const AttentionShape& shape) {
  return torch::zeros({queries * shape.num_heads}, qkv.options().dtype(torch::kInt32));
}

}  // namespace

bool has_paged_attention_cuda(const torch::Tensor& qkv, const AttentionShape& shape) {
  return qkv.is_cuda() &&
         kernels::can_run(kernels::PagedAttention{.head_dim = shape.head_dim}, kernel_dtype(qkv));
}

void attend_step_cuda(const torch::Tensor& qkv, const SequencePages& where,
                      const AttentionShape& shape, PagedKv& cache, const LayerAttention& layer,
                      torch::Tensor& result) {
  kernels::PagedAttention problem = problem_of(qkv, where.pages, shape, cache, layer, result);
  problem.queries = qkv.size(0);
  torch::Tensor lengths = where.lengths_on_device;
  if (!lengths.defined()) {
    lengths = tensor::to_device(torch::tensor(where.lengths, torch::kInt32), qkv.device());
  }
  problem.lengths = lengths.const_data_ptr<int32_t>();
  problem.is_settled = where.lengths_on_device.defined();
  const bool counts =
      where.arrived.defined() && where.arrived.numel() >= problem.queries * shape.num_heads;
  run(problem, qkv, counts ? where.arrived : no_arrivals(qkv, problem.queries, shape));
}

void attend_paged_cuda(const torch::Tensor& qkv, const PagedStep& step,
                       const std::vector<int64_t>& sequences, const AttentionShape& shape,
                       PagedKv& cache, const LayerAttention& layer, torch::Tensor& result) {
  std::vector<int32_t> rows;
  std::vector<int32_t> of_sequence;
  std::vector<int32_t> lengths;
  for (const int64_t sequence : sequences) {
    for (int64_t i = 0; i < step.count(sequence); ++i) {
      rows.push_back(static_cast<int32_t>(step.first(sequence) + i));
      of_sequence.push_back(static_cast<int32_t>(sequence));
      lengths.push_back(static_cast<int32_t>(step.past(sequence) + i + 1));
    }
  }
  const auto queries = static_cast<int64_t>(rows.size());
  rows.insert(rows.end(), of_sequence.begin(), of_sequence.end());
  rows.insert(rows.end(), lengths.begin(), lengths.end());
  const torch::Tensor all = tensor::to_device(torch::tensor(rows, torch::kInt32), qkv.device());
  kernels::PagedAttention problem = problem_of(qkv, step.where.pages, shape, cache, layer, result);
  problem.queries = queries;
  problem.rows = all.const_data_ptr<int32_t>();
  problem.sequences = problem.rows + queries;
  problem.lengths = problem.sequences + queries;
  run(problem, qkv, no_arrivals(qkv, queries, shape));
}

}  // namespace foregate::nn
