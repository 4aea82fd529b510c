/// A city of the central European time zone, with its population as weight.
struct City: Sendable {
    let name: String
    /// Degrees north and east.
    let latitude: Double
    let longitude: Double
    /// Thousands of inhabitants, rounded.
    let weight: Double

    init(_ name: String, _ latitude: Double, _ longitude: Double, _ weight: Double) {
        self.name = name
        self.latitude = latitude
        self.longitude = longitude
        self.weight = weight
    }

    static let all: [City] = [
        City("Amsterdam", 52.373, 4.893, 920), City("Antwerp", 51.221, 4.400, 530),
        City("Barcelona", 41.383, 2.177, 1_620), City("Berlin", 52.520, 13.405, 3_700),
        City("Bern", 46.948, 7.447, 140), City("Bologna", 44.494, 11.343, 390),
        City("Bordeaux", 44.838, -0.579, 260), City("Bratislava", 48.146, 17.107, 475),
        City("Brno", 49.195, 16.607, 380), City("Brussels", 50.847, 4.357, 1_200),
        City("Budapest", 47.498, 19.040, 1_700), City("Cologne", 50.938, 6.960, 1_080),
        City("Copenhagen", 55.676, 12.568, 640), City("Dresden", 51.050, 13.738, 560),
        City("Düsseldorf", 51.226, 6.776, 620), City("Frankfurt", 50.110, 8.682, 760),
        City("Geneva", 46.205, 6.143, 200), City("Gothenburg", 57.709, 11.975, 590),
        City("Graz", 47.071, 15.439, 290), City("Hamburg", 53.551, 9.994, 1_850),
        City("Kraków", 50.062, 19.937, 780), City("Leipzig", 51.340, 12.375, 600),
        City("Lille", 50.629, 3.057, 235), City("Ljubljana", 46.051, 14.506, 285),
        City("Lyon", 45.764, 4.836, 520), City("Madrid", 40.417, -3.704, 3_280),
        City("Marseille", 43.296, 5.370, 870), City("Milan", 45.464, 9.190, 1_370),
        City("Munich", 48.137, 11.575, 1_490), City("Naples", 40.852, 14.268, 910),
        City("Oslo", 59.914, 10.752, 700), City("Paris", 48.857, 2.352, 2_140),
        City("Prague", 50.088, 14.421, 1_300), City("Rome", 41.903, 12.496, 2_750),
        City("Rotterdam", 51.924, 4.478, 655), City("Stockholm", 59.329, 18.069, 980),
        City("Stuttgart", 48.776, 9.183, 630), City("Turin", 45.070, 7.687, 850),
        City("Valencia", 39.470, -0.376, 790), City("Vienna", 48.208, 16.373, 1_980),
        City("Warsaw", 52.230, 21.012, 1_860), City("Zagreb", 45.815, 15.982, 770),
        City("Zurich", 47.377, 8.541, 430),
    ]
}
