#pragma once

#include <string>
#include <vector>

namespace foregate::report {

/// Values to a few colour classes, so that a chart's colours live in CSS and follow the theme.
struct ColorScale {
  std::string prefix;         ///< "s" sequential, "d" diverging around 1; class i is "s3"
  std::vector<double> edges;  ///< Ascending; class i is [edges[i-1], edges[i]), open at both ends

  int class_of(double value) const;  ///< NaN is -1, drawn as a hole.
  int num_classes() const { return static_cast<int>(edges.size()) + 1; }
};

/// Ten classes from 0 to `largest`, narrow at the bottom (square-root spacing), since shares have
/// long tails.
ColorScale sequential_scale(double largest);

/// Ten classes of equal width from `lowest` to `largest`.
ColorScale even_scale(double lowest, double largest);

/// Nine classes for a ratio to what would be even: the middle is about 1, both ends 4 times off.
ColorScale ratio_scale();

/// `:root` variables of all chart colours for the light and the dark theme.
std::string palette_css();

/// `css` with every var(--name) of the palette replaced by the light colour; for SVG files, whose
/// viewers often do not know variables.
std::string with_light_colors(std::string css);

/// Rules that give the scale classes their colour, as rect fill and as path stroke.
std::string scale_css();

}  // namespace foregate::report
