//! What all drawings have in common: size, colours, texts.

use plotters::coord::Shift;
use plotters::prelude::*;

pub const WIDTH: u32 = 860;
/// About the width of a letter of the labels.
pub const LETTER: usize = 7;
pub const LABEL: (&str, i32) = ("sans-serif", 13);
pub const GREY: RGBColor = RGBColor(110, 110, 110);

/// Told apart by the colour-blind too: Okabe and Ito, <https://jfly.uni-koeln.de/color/>.
pub const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

const TITLE_HEIGHT: u32 = 40;
const ORIGIN_HEIGHT: u32 = 26;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG with a heading and the origin of its figures; `draw` fills what is between them, which is
/// `height` high.
pub fn svg(
    heading: &str,
    origin: &str,
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> Result<(), String>,
) -> Result<String, String> {
    let mut svg = String::new();
    let size = (WIDTH, TITLE_HEIGHT + height + ORIGIN_HEIGHT);
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (title, rest) = root.split_vertically(TITLE_HEIGHT);
    let (middle, foot) = rest.split_vertically(height);
    let big = ("sans-serif", 18).into_font().color(&BLACK);
    title.draw_text(heading, &big, (14, 14)).map_err(text)?;
    let small = ("sans-serif", 11).into_font().color(&GREY);
    foot.draw_text(origin, &small, (14, 8)).map_err(text)?;
    draw(&middle)?;
    root.present().map_err(text)?;
    drop((title, middle, foot, rest, root));
    Ok(svg)
}

pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
