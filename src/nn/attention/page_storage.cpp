#include "nn/attention/page_storage.h"

#include <torch/types.h>

#include <cmath>
#include <limits>

#include "nn/thread_share.h"
#include "tensor/weight/quantized_rows.h"

namespace foregate::nn {
namespace {

// What a code costs, in multiplications of a product.
constexpr int64_t kProductsOfACode = 4;

struct Int8Rows {
  torch::Tensor codes;   ///< [T, n, D] int8
  torch::Tensor scales;  ///< [T, n] float32
};

Int8Rows quantized_on_cpu(const torch::Tensor& values) {  // [T, n, D] float32
  const int64_t size = values.size(2);
  Int8Rows result{torch::zeros(values.sizes(), torch::kInt8),
                  torch::empty({values.size(0), values.size(1)}, torch::kFloat32)};
  const auto* row = values.const_data_ptr<float>();
  auto* codes = reinterpret_cast<std::byte*>(result.codes.mutable_data_ptr<int8_t>());
  auto* scales = result.scales.mutable_data_ptr<float>();
  share_among_threads(
      result.scales.numel(), kProductsOfACode * size, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          if (!tensor::encode_int8(row + i * size, size, codes + i * size, scales + i))
            scales[i] = std::numeric_limits<float>::quiet_NaN();
        }
      });
  return result;
}

Int8Rows quantized(const torch::Tensor& rows) {  // [T, n, D]
  const torch::Tensor values = rows.to(torch::kFloat32).contiguous();
  if (values.is_cpu()) return quantized_on_cpu(values);
  const torch::Tensor scales = values.abs().amax(-1).div_(127);
  const torch::Tensor divisors = scales.clamp_min(std::numeric_limits<float>::min());
  return {values.div(divisors.unsqueeze(-1)).round_().clamp_(-127, 127).to(torch::kInt8), scales};
}

torch::Tensor as_values(const PagedRows& picked, torch::ScalarType dtype) {
  if (!picked.scales.defined()) return picked.rows.to(dtype);
  return picked.rows.to(torch::kFloat32).mul_(picked.scales.unsqueeze(-1)).to(dtype);
}

}  // namespace

void check_pages(const PagedRows& paged, int64_t heads, int64_t size, torch::ScalarType dtype) {
  const torch::Tensor& rows = paged.rows;
  const torch::Tensor& scales = paged.scales;
  TORCH_CHECK(rows.dim() == 4 && rows.is_contiguous() && rows.size(2) == heads &&
                  rows.size(3) == size &&
                  rows.scalar_type() == (scales.defined() ? torch::kInt8 : dtype),
              "cached attention: the cache is ", rows.scalar_type(), " ", rows.sizes(),
              "; expected ", dtype, " or int8 [pages, P, ", heads, ", ", size, "]");
  TORCH_CHECK(!scales.defined() || (scales.is_contiguous() && scales.dim() == 3 &&
                                    scales.scalar_type() == torch::kFloat32 &&
                                    scales.sizes() == rows.sizes().slice(0, 3)),
              "cached attention: scales are ", scales.sizes(), " of rows ", rows.sizes());
}

void store_rows(const PagedRows& paged, const torch::Tensor& rows, const PagedStep& step) {
  const int64_t heads = paged.rows.size(2);
  const torch::Tensor by_head = rows.unflatten(1, {heads, paged.rows.size(3)});
  if (!paged.scales.defined()) {
    paged.rows.flatten(0, 1).index_copy_(0, step.where.slots, by_head);
    return;
  }
  const Int8Rows kept = quantized(by_head);
  paged.rows.flatten(0, 1).index_copy_(0, step.where.slots, kept.codes);
  paged.scales.flatten(0, 1).index_copy_(0, step.where.slots, kept.scales);
}

torch::Tensor gather_rows(const PagedRows& paged, const PagedStep& step, int64_t sequence,
                          torch::ScalarType dtype) {
  const int64_t length = step.where.lengths[sequence];
  const int64_t page_tokens = paged.rows.size(1);
  const torch::Tensor table =
      step.where.pages[sequence].narrow(0, 0, (length + page_tokens - 1) / page_tokens);
  const auto pick = [&](const torch::Tensor& pages) {
    return pages.defined() ? pages.index_select(0, table).flatten(0, 1).narrow(0, 0, length)
                           : torch::Tensor();
  };
  return as_values({pick(paged.rows), pick(paged.scales)}, dtype);
}

torch::Tensor stored_rows(const PagedRows& paged, const PagedStep& step, torch::ScalarType dtype) {
  const auto pick = [&](const torch::Tensor& pages) {
    return pages.defined() ? pages.flatten(0, 1).index_select(0, step.where.slots)
                           : torch::Tensor();
  };
  return as_values({pick(paged.rows), pick(paged.scales)}, dtype).flatten(1);
}

}  // namespace foregate::nn
