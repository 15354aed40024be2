#include "predict/training/layer_matmul.h"

#include <torch/autograd.h>
#include <torch/types.h>

namespace foregate::predict {
namespace {

// A product is computed in tiles of about 64 x 64. Four for each multiprocessor of a large card
// hide that they do not end at the same time; pieces of fewer tokens cost more to add up than they
// save.
constexpr int64_t kTile = 64;
constexpr int64_t kEnoughTiles = 512;
constexpr int64_t kFewestTokens = 128;

class LayerProduct : public torch::autograd::Function<LayerProduct> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& a,
                               const torch::Tensor& b, torch::ScalarType dtype) {
    const torch::Tensor left = a.to(dtype);
    const torch::Tensor right = b.to(dtype);
    context->save_for_backward({left, right});
    return torch::bmm(left, right).to(torch::kFloat32);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const torch::Tensor& a = saved[0];
    const torch::Tensor& b = saved[1];
    const torch::Tensor gradient = gradients[0].to(a.scalar_type());
    torch::Tensor of_a;
    torch::Tensor of_b;
    if (context->needs_input_grad(0)) {
      of_a = torch::bmm(gradient, b.transpose(1, 2)).to(torch::kFloat32);
    }
    if (context->needs_input_grad(1)) {
      const int64_t pieces =
          a.is_cuda() ? weight_gradient_pieces(a.size(0), a.size(1), a.size(2), b.size(2)) : 1;
      of_b = weight_gradient(a, gradient, pieces);
    }
    return {of_a, of_b, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor layer_matmul(const torch::Tensor& a, const torch::Tensor& b,
                           torch::ScalarType dtype) {
  return LayerProduct::apply(a, b, dtype);
}

torch::Tensor weight_gradient(const torch::Tensor& a, const torch::Tensor& gradient,
                              int64_t pieces) {
  if (pieces == 1) return torch::bmm(a.transpose(1, 2), gradient).to(torch::kFloat32);
  const int64_t tokens = a.size(1) / pieces;
  const auto cut = [&](const torch::Tensor& rows) {
    return rows.unflatten(1, {pieces, tokens}).flatten(0, 1);
  };
  return torch::bmm(cut(a).transpose(1, 2), cut(gradient))
      .unflatten(0, {a.size(0), pieces})
      .sum(1, /*keepdim=*/false, torch::kFloat32);
}

int64_t weight_gradient_pieces(int64_t layers, int64_t n, int64_t i, int64_t j) {
  const auto tiles = [](int64_t size) { return (size + kTile - 1) / kTile; };
  const int64_t whole = layers * tiles(i) * tiles(j);
  int64_t pieces = 1;
  while (whole * pieces < kEnoughTiles && n % (2 * pieces) == 0 &&
         n / (2 * pieces) >= kFewestTokens) {
    pieces *= 2;
  }
  return pieces;
}

}  // namespace foregate::predict
