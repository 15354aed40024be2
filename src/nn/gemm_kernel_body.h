// The body of the CPU matrix kernels: included once by each instruction set's file, behind its
// definition of `Isa`, so that one text serves all vector widths. No include guard, no other use.

namespace foregate::nn {
namespace {

using Vector = Isa::Vector;
constexpr int kVectors = kPanelColumns / Isa::kWidth;

// exp by Cephes' polynomial (Moshier, expf.c): within 2 units in the last place where exp is
// finite.
Vector exponential(Vector x) {
  x = Isa::min(Isa::max(x, Isa::broadcast(-87.3F)), Isa::broadcast(88.0F));
  const Vector n = Isa::round(Isa::multiply(x, Isa::broadcast(1.44269504F)));
  Vector r = Isa::multiply_add(n, Isa::broadcast(-0.693359375F), x);
  r = Isa::multiply_add(n, Isa::broadcast(2.12194440e-4F), r);
  Vector p = Isa::broadcast(1.9875691500e-4F);
  for (const float coefficient :
       {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F}) {
    p = Isa::multiply_add(p, r, Isa::broadcast(coefficient));
  }
  p = Isa::multiply_add(Isa::multiply(p, r), r, Isa::add(r, Isa::broadcast(1.0F)));
  return Isa::scale_by_power_of_two(p, n);
}

Vector silu(Vector x) {
  const Vector e = exponential(Isa::subtract(Isa::broadcast(0.0F), x));
  return Isa::divide(x, Isa::add(e, Isa::broadcast(1.0F)));
}

// One panel's values of one row, as kVectors vectors, into `out`, of which `columns` are there.
void write_row(const Vector* sum, float* out, int64_t columns, bool add) {
  if (columns >= kPanelColumns) {
    for (int v = 0; v < kVectors; ++v) {
      float* place = out + v * Isa::kWidth;
      Isa::store(place, add ? Isa::add(Isa::load(place), sum[v]) : sum[v]);
    }
    return;
  }
  float values[kPanelColumns];
  for (int v = 0; v < kVectors; ++v) Isa::store(values + v * Isa::kWidth, sum[v]);
  for (int64_t c = 0; c < columns; ++c) out[c] = add ? out[c] + values[c] : values[c];
}

void write_silu_row(const Vector* sum, float* out, int64_t columns, float scale) {
  constexpr int kHalf = kVectors / 2;
  float values[kPanelColumns / 2];
  for (int v = 0; v < kHalf; ++v) {
    const Vector inner = Isa::multiply(silu(sum[v]), sum[v + kHalf]);
    Isa::store(values + v * Isa::kWidth, Isa::multiply(inner, Isa::broadcast(scale)));
  }
  const int64_t count = columns < kPanelColumns / 2 ? columns : kPanelColumns / 2;
  for (int64_t c = 0; c < count; ++c) out[c] = values[c];
}

// kRows rows by one panel: their sums stay in registers over the whole depth.
template <int kRows>
void block(const GemmTask& task, int64_t row, int64_t panel) {
  Vector sum[kRows][kVectors];
  for (auto& vectors : sum) {
    for (Vector& vector : vectors) vector = Isa::broadcast(0.0F);
  }
  const float* x = task.x + row * task.x_stride;
  const float* weight = task.panels + panel * task.depth * kPanelColumns;
  for (int64_t k = 0; k < task.depth; ++k) {
    Vector columns[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      columns[v] = Isa::load(weight + k * kPanelColumns + v * Isa::kWidth);
    }
    for (int r = 0; r < kRows; ++r) {
      const Vector value = Isa::broadcast(x[r * task.x_stride + k]);
      for (int v = 0; v < kVectors; ++v)
        sum[r][v] = Isa::multiply_add(value, columns[v], sum[r][v]);
    }
  }
  const bool halves = task.epilogue == GemmEpilogue::kSiluMultiply;
  const int64_t first = panel * (halves ? kPanelColumns / 2 : kPanelColumns);
  for (int r = 0; r < kRows; ++r) {
    float* out = task.out + (row + r) * task.out_stride + first;
    if (halves) {
      write_silu_row(sum[r], out, task.columns - first,
                     task.scale == nullptr ? 1.0F : task.scale[row + r]);
    } else {
      write_row(sum[r], out, task.columns - first, task.epilogue == GemmEpilogue::kAdd);
    }
  }
}

// The rows behind the last whole block.
template <int kRows>
void last_block(const GemmTask& task, int64_t row, int64_t panel) {
  if constexpr (kRows > 0) {
    if (task.rows - row == kRows) {
      block<kRows>(task, row, panel);
    } else {
      last_block<kRows - 1>(task, row, panel);
    }
  }
}

void add_bias(const GemmTask& task) {
  for (int64_t row = 0; row < task.rows; ++row) {
    float* out = task.out + row * task.out_stride;
    for (int64_t c = 0; c < task.columns; ++c) out[c] += task.bias[c];
  }
}

// Panels outside, so that a panel stays in the cache over all rows.
void multiply(const GemmTask& task) {
  const int64_t panel_columns =
      task.epilogue == GemmEpilogue::kSiluMultiply ? kPanelColumns / 2 : kPanelColumns;
  for (int64_t panel = 0; panel * panel_columns < task.columns; ++panel) {
    int64_t row = 0;
    for (; row + Isa::kRows <= task.rows; row += Isa::kRows) block<Isa::kRows>(task, row, panel);
    last_block<Isa::kRows - 1>(task, row, panel);
  }
  if (task.bias != nullptr) add_bias(task);
}

}  // namespace
}  // namespace foregate::nn
